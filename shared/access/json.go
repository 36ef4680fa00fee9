package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxBody     = 64 << 10 // bytes
	maxNesting  = 64       // levels of objects and lists
	maxProblems = 20       // that one answer names
	maxPath     = 200      // bytes of a field's path, after which an answer cuts it
)

// ReadBody reads a request's body of JSON, of at most so many bytes, without a byte order mark. A request without a
// content type means JSON. The error is a *Refused: 415, 413, or 400 if the body was cut short.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	given := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); given != "" && (err != nil || kind != "application/json") {
		return nil, &Refused{http.StatusUnsupportedMediaType, []Problem{
			{"", "INVALID_CONTENT_TYPE", "The body must be application/json."},
		}}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return nil, &Refused{http.StatusRequestEntityTooLarge, []Problem{
			{"", "TOO_LONG", fmt.Sprintf("The body must not be longer than %d KiB.", most>>10)},
		}}
	}
	if err != nil {
		return nil, &Refused{http.StatusBadRequest, []Problem{{"", "INVALID_JSON", "The body was cut short."}}}
	}
	return bytes.TrimPrefix(body, []byte("\ufeff")), nil
}

// ReadJSON reads a request's body of at most 64 KiB into v, as Decode does. The error is a *Refused.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := ReadBody(w, r, maxBody)
	if err != nil {
		return err
	}
	if problems := Decode(body, v); len(problems) > 0 {
		return &Refused{http.StatusBadRequest, problems}
	}
	return nil
}

// Decode reads a body, which must be one JSON object in UTF-8, into v, a pointer to a struct, or returns what is
// wrong with it. encoding/json accepts much that its sender cannot have meant. Decode names it, by the path of the
// field ("roles[1]"): a field that v does not have or that is written in other letter case, a key that is given
// twice, a value of another kind, half of a surrogate pair; and anything after the object. After a problem v is of no
// use.
func Decode(body []byte, v any) []Problem {
	if !utf8.Valid(body) {
		return []Problem{{"", "INVALID_JSON", "The body is not UTF-8."}}
	}
	r := &strictReader{
		body: body, tokens: json.NewDecoder(bytes.NewReader(body)), known: map[reflect.Type]map[string]reflect.Type{},
	}
	r.tokens.UseNumber()
	if err := r.value("", reflect.TypeOf(v).Elem(), 1); err != nil {
		return []Problem{{"", "INVALID_JSON", "The body must be one JSON object" + at(err) + "."}}
	}
	if _, err := r.tokens.Token(); err != io.EOF {
		return []Problem{{"", "INVALID_JSON", "The body must be one JSON object, and there is something after it."}}
	}
	if len(r.problems) > 0 {
		return r.problems
	}
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong): // a number that is too large for its field
		return []Problem{{wrong.Field, "INVALID_VALUE", "The value must be " + wanted(wrong.Type) + "."}}
	case err != nil:
		return []Problem{{"", "INVALID_JSON", "The body must be one JSON object" + at(err) + "."}}
	}
	return nil
}

var errNesting = errors.New("nested too deep")

// at says where a body stops being JSON, as far as err says.
func at(err error) string {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errNesting):
		return fmt.Sprintf(", nested at most %d levels deep", maxNesting)
	case errors.As(err, &syntax):
		return fmt.Sprintf(": what is at byte %d cannot be there", syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ", and this one does not end"
	}
	return ""
}

// strictReader goes through a body beside the type that it is read into.
type strictReader struct {
	body     []byte
	tokens   *json.Decoder
	problems []Problem
	known    map[reflect.Type]map[string]reflect.Type // the fields of structs
}

func (r *strictReader) wrong(path, kind, description string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{path, kind, description})
	}
}

// token reads a token of the value at a path.
func (r *strictReader) token(path string) (json.Token, error) {
	from := r.tokens.InputOffset()
	token, err := r.tokens.Token()
	if err == nil && halfPair(r.body[from:r.tokens.InputOffset()]) {
		r.wrong(path, "INVALID_VALUE", "The text has half of a surrogate pair (\\ud800 to \\udfff).")
	}
	return token, err
}

// halfPair reports whether a JSON text escapes one half of a surrogate pair without the other, which encoding/json
// reads as another character.
func halfPair(text []byte) bool {
	unit := func(i int) rune { // the UTF-16 code unit that is escaped at i, or 0
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		return rune(n)
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if high := unit(i); utf16.IsSurrogate(high) {
			if utf16.DecodeRune(high, unit(i+6)) == utf8.RuneError {
				return true
			}
			i += 6
		}
		i++ // what is escaped is not the start of an escape
	}
	return false
}

// value reads the value at a path, which is to become a t. A nil t takes anything. The error is that of the JSON
// itself.
func (r *strictReader) value(path string, t reflect.Type, depth int) error {
	if depth > maxNesting {
		return errNesting
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	unmarshaler := reflect.TypeFor[json.Unmarshaler]()
	if t != nil && (t.Kind() == reflect.Interface || reflect.PointerTo(t).Implements(unmarshaler)) {
		t = nil
	}
	token, err := r.token(path)
	if err != nil {
		return err
	}
	switch {
	case takes(t, token) || token == nil && path != "":
	case path == "":
		r.wrong("", "INVALID_JSON", "The body must be one JSON object.")
		t = nil
	default:
		r.wrong(path, "INVALID_VALUE", "The value must be "+wanted(t)+".")
		t = nil
	}
	switch token {
	case json.Delim('{'):
		return r.object(path, t, depth)
	case json.Delim('['):
		var element reflect.Type
		if t != nil {
			element = t.Elem()
		}
		for i := 0; r.tokens.More(); i++ {
			if err := r.value(join(path, "["+strconv.Itoa(i)+"]"), element, depth+1); err != nil {
				return err
			}
		}
		_, err = r.tokens.Token()
	}
	return err
}

// object reads an object to its end. Of a key that is given twice the second value is checked too.
func (r *strictReader) object(path string, t reflect.Type, depth int) error {
	given := map[string]bool{}
	for r.tokens.More() {
		token, err := r.token(path)
		if err != nil {
			return err
		}
		key, _ := token.(string)
		inner := join("", key)
		if path != "" {
			inner = join(path, "."+key)
		}
		if given[key] {
			r.wrong(inner, "REPEATED_FIELD", "The field may be given once.")
		}
		given[key] = true
		field := r.field(inner, key, t)
		if err := r.value(inner, field, depth+1); err != nil {
			return err
		}
	}
	_, err := r.tokens.Token()
	return err
}

// field returns the type of t's field that a key names; nil if there is none, which is a problem if t is a struct.
func (r *strictReader) field(path, key string, t reflect.Type) reflect.Type {
	if t == nil {
		return nil
	}
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	known, ok := r.known[t]
	if !ok {
		known = map[string]reflect.Type{}
		for _, f := range reflect.VisibleFields(t) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
				known[name] = f.Type
			}
		}
		r.known[t] = known
	}
	if field := known[key]; field != nil {
		return field
	}
	instead := ""
	for name := range known {
		if strings.EqualFold(name, key) {
			instead = " It is written " + name + "."
		}
	}
	r.wrong(path, "UNKNOWN_FIELD", "The field is not known."+instead)
	return nil
}

// takes reports whether a value that begins with the token can become a t. Null is for value to decide.
func takes(t reflect.Type, token json.Token) bool {
	if t == nil {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return token == json.Delim('{')
	case reflect.Slice:
		return token == json.Delim('[')
	case reflect.String:
		_, ok := token.(string)
		return ok
	case reflect.Bool:
		_, ok := token.(bool)
		return ok
	case reflect.Int, reflect.Int64:
		n, ok := token.(json.Number)
		_, err := n.Int64()
		return ok && err == nil
	}
	return false
}

// wanted says in an answer what a value of the type looks like.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return "a whole number"
}

// join adds to a path, which answers repeat, as long as it is not long.
func join(path, more string) string {
	switch {
	case len(path) >= maxPath:
		return path
	case len(more) <= maxPath:
		return path + more
	}
	return path + strings.ToValidUTF8(more[:maxPath], "") + "..."
}
