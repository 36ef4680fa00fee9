package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

const maxBody = 64 << 10

// ReadJSON reads a request's body into v, or answers what is wrong with it. It is strict: one JSON object, no field that v does
// not have, UTF-8.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		WriteProblems(w, http.StatusUnsupportedMediaType, Problem{Type: "INVALID_CONTENT_TYPE", Description: "The body must be application/json."})
		return false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		WriteProblems(w, http.StatusRequestEntityTooLarge, Problem{Type: "TOO_LONG", Description: "The body must not be longer than 64 KiB."})
		return false
	}
	if err == nil && !utf8.Valid(body) {
		err = errors.New("not UTF-8")
	}
	if err == nil {
		err = decode(body, v)
	}
	if err == nil {
		return true
	}
	p := Problem{Type: "INVALID_JSON", Description: "The body must be one JSON object with known fields only."}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		p = Problem{Field: wrong.Field, Type: "INVALID_VALUE", Description: "The value must be a " + wrong.Type.String() + "."}
	}
	WriteProblems(w, http.StatusBadRequest, p)
	return false
}

func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something after the object")
	}
	return nil
}
