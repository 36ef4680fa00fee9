package access

import (
	"encoding/json"
	"net/http"
)

// Problem is one thing that is wrong with a request (Incydr's shape): the field as the caller wrote it ("" when it is not about one
// field), a word for programs, a sentence for people.
type Problem struct {
	Field       string `json:"field"`
	Type        string `json:"type"`
	Description string `json:"description"`
}

// WriteJSON answers with v as JSON. API answers are for one caller: nothing on the way may keep them.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"problems":[{"field":"","type":"INTERNAL","description":"The answer could not be written."}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller who has hung up does not miss it
}

// WriteProblems answers {"problems": [...]}.
func WriteProblems(w http.ResponseWriter, status int, problems ...Problem) {
	WriteJSON(w, status, struct {
		Problems []Problem `json:"problems"`
	}{problems})
}
