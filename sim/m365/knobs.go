package m365sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// options are the knobs as they stand now. What they point to is never changed in place.
func (s *Server) options() *Options { return s.knobs.Load() }

// Change turns knobs while the simulation runs. Requests that are under way keep the old ones. The knobs that Options
// lists as fixed keep what New was given.
func (s *Server) Change(turn func(*Options)) {
	s.turning.Lock()
	defer s.turning.Unlock()
	old := s.options()
	changed := *old
	turn(&changed)
	was, is := reflect.ValueOf(old).Elem(), reflect.ValueOf(&changed).Elem()
	for i := range is.NumField() {
		if fixed(is.Type().Field(i)) {
			is.Field(i).Set(was.Field(i))
		}
	}
	changed = changed.filled()
	s.knobs.Store(&changed)
}

// fixed reports whether a knob can only be set by New.
func fixed(field reflect.StructField) bool { return field.Tag.Get("knob") == "fixed" }

// names are the knobs that can be turned, by the name that the control door knows them by.
func (o *Options) names() map[string]reflect.Value {
	found := map[string]reflect.Value{}
	fields := reflect.ValueOf(o).Elem()
	for i := range fields.NumField() {
		if field := fields.Type().Field(i); !fixed(field) {
			found[strings.ToLower(field.Name[:1])+field.Name[1:]] = fields.Field(i)
		}
	}
	return found
}

// turnKnobs is the lever POST /options. It turns all of the knobs that the body names, or none of them.
func turnKnobs(s *Server, r *http.Request) (any, error) {
	wanted, err := read[map[string]json.RawMessage](r)
	if err != nil {
		return nil, err
	}
	trial := *s.options()
	if err := trial.set(wanted); err != nil {
		return nil, err
	}
	s.Change(func(o *Options) { err = o.set(wanted) })
	return showKnobs(s), err
}

func (o *Options) set(wanted map[string]json.RawMessage) error {
	known := o.names()
	for name, raw := range wanted {
		knob, ok := known[name]
		if !ok {
			return fmt.Errorf("there is no knob %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)),
				", "))
		}
		if err := setKnob(knob, raw); err != nil {
			return fmt.Errorf("turn the knob %s: %w", name, err)
		}
	}
	return nil
}

func setKnob(knob reflect.Value, raw json.RawMessage) error {
	if knob.Type() != reflect.TypeFor[time.Duration]() {
		return json.Unmarshal(raw, knob.Addr().Interface())
	}
	var text span
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	knob.SetInt(int64(text))
	return nil
}

// showKnobs gives every knob that can be turned as it stands.
func showKnobs(s *Server) map[string]any {
	shown, now := map[string]any{}, *s.options()
	for name, knob := range now.names() {
		shown[name] = knob.Interface()
		if d, ok := shown[name].(time.Duration); ok {
			shown[name] = span(d)
		}
	}
	return shown
}
