package search

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// bad is the filter as a problem shows it: names cut, and without an overlong value.
func (f filter) bad() *BadFilter {
	b := &BadFilter{Term: cut(f.Term)}
	if f.Operator != nil {
		b.Operator = cut(*f.Operator)
	}
	if len(f.Value) > 0 && len(f.Value) <= MaxValue {
		b.Value = f.Value
	}
	return b
}

// filter makes a filter into a predicate.
func (p *parser) filter(f filter) (*predicate, *Problem) {
	t, ok := theSchema().lookup(f.Term)
	if !ok {
		return nil, problem(IllegalValue, "There is no term %s.", clip(f.Term))
	}
	operator := Is
	if f.Operator != nil && *f.Operator != "" {
		operator = Operator(*f.Operator)
	}
	if !slices.Contains(t.kind.operators(), operator) {
		if !operator.known() {
			return nil, problem(IllegalOperator, "There is no operator %s; %s has %s.", clip(string(operator)), t.name, listed(t.kind.operators()))
		}
		return nil, problem(IllegalOperator, "%s is a %s, which has no operator %s; it has %s.", t.name, t.kind, operator, listed(t.kind.operators()))
	}
	values, err := p.values(t, operator, f.Value)
	if err != nil {
		return nil, err
	}
	out := &predicate{term: t, operator: operator}
	for _, v := range values {
		if err := p.take(out, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// listed are operators as a sentence names them.
func listed(operators []Operator) string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

// values are the filter's values as texts: none, one, or some, as the operator has it.
func (p *parser) values(t *term, operator Operator, raw json.RawMessage) ([]string, *Problem) {
	absent := len(raw) == 0 || bytes.Equal(raw, []byte("null")) || bytes.Equal(raw, []byte(`""`))
	switch {
	case operator == Exists || operator == DoesNotExist:
		if !absent {
			return nil, problem(UnexpectedValue, "%s %s takes no value.", t.name, operator)
		}
		return nil, nil
	case absent:
		return nil, problem(MissingValue, "%s %s needs a value.", t.name, operator)
	case operator != IsAny && operator != IsNone:
		v, err := p.value(t, raw)
		return []string{v}, err
	}

	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, problem(IllegalValue, "%s %s takes an array of values.", t.name, operator)
	}
	if len(elements) == 0 {
		return nil, problem(MissingValue, "%s %s needs at least one value.", t.name, operator)
	}
	if len(elements) > MaxCriteria {
		return nil, problem(MaxValuesExceeded, "%s %s has more than %d values.", t.name, operator, MaxCriteria)
	}
	if p.criteria += len(elements) - 1; p.criteria > MaxCriteria {
		return nil, problem(MaxFiltersExceeded, "There are more than %d criteria; each value of IS_ANY and IS_NONE is one.", MaxCriteria)
	}
	values := make([]string, len(elements))
	for i, e := range elements {
		v, err := p.value(t, e)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// value is one JSON value as text.
func (p *parser) value(t *term, raw json.RawMessage) (string, *Problem) {
	if len(raw) > 2*MaxValue {
		return "", problem(MaxLengthExceeded, "A value of %s has more than %d bytes.", t.name, MaxValue)
	}
	var v any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return "", problem(IllegalValue, "A value of %s is not JSON.", t.name)
	}
	switch v := v.(type) {
	case string:
		if len(v) > MaxValue {
			return "", problem(MaxLengthExceeded, "A value of %s has more than %d bytes.", t.name, MaxValue)
		}
		return v, nil
	case json.Number:
		if t.kind != boolean && t.kind != moment {
			return v.String(), nil
		}
	case bool:
		if t.kind == boolean || t.kind == text {
			return strconv.FormatBool(v), nil
		}
	case nil:
		return "", problem(MissingValue, "A value of %s is null.", t.name)
	}
	return "", problem(IllegalValue, "%s is a %s, and its value cannot be %s.", t.name, t.kind, clip(string(raw)))
}

// take adds a value to the predicate.
func (p *parser) take(out *predicate, v string) *Problem {
	switch out.term.kind {
	case number:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return problem(IllegalValue, "%s is a number, and %s is no whole number of at most 64 bits.", out.term.name, clip(v))
		}
		out.numbers = append(out.numbers, n)
	case boolean:
		switch {
		case strings.EqualFold(v, "true"):
			out.numbers = append(out.numbers, 1)
		case strings.EqualFold(v, "false"):
			out.numbers = append(out.numbers, 0)
		default:
			return problem(IllegalValue, "%s is true or false, and not %s.", out.term.name, clip(v))
		}
	case moment:
		within, err := during(out.operator, v, p.now)
		if err != nil {
			return problem(IllegalValue, "%s: %s is no %s.", out.term.name, clip(v), momentWanted(out.operator))
		}
		out.within = within
	default:
		if v == "" {
			return problem(MissingValue, "A value of %s is empty.", out.term.name)
		}
		out.patterns = append(out.patterns, newPattern(v))
	}
	return nil
}

func momentWanted(o Operator) string {
	if o == WithinTheLast {
		return "duration in ISO 8601, such as P30D or PT15M"
	}
	return "date or time in ISO 8601, such as 2026-10-01 or 2026-10-01T12:00:00.000Z"
}
