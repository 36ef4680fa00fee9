package access

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// Problem is one thing that is wrong with a request (Incydr's shape).
type Problem struct {
	Field       string `json:"field"`       // as the caller wrote it; "" if the problem is not about one field
	Type        string `json:"type"`        // a word for programs
	Description string `json:"description"` // a sentence for people
}

// Refused is an error that the caller can mend, with the status and the problems that answer it. Errors that a room's
// callers branch on may be *Refused, compared by errors.Is.
type Refused struct {
	Status   int
	Problems []Problem
}

func (e *Refused) Error() string {
	var all []string
	for _, p := range e.Problems {
		if p.Field != "" {
			p.Description = p.Field + ": " + p.Description
		}
		all = append(all, p.Description)
	}
	return strings.Join(all, " ")
}

// Invalid is a value that cannot be accepted: 400, for one field.
func Invalid(field, description string) *Refused {
	return &Refused{http.StatusBadRequest, []Problem{{field, "INVALID_VALUE", description}}}
}

// Refuse answers an error: what the caller can mend in full, and anything else as 503, with the cause in the log.
func Refuse(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	var refused *Refused
	if errors.As(err, &refused) {
		WriteProblems(w, refused.Status, refused.Problems...)
		return
	}
	log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "err", err)
	WriteProblems(w, http.StatusServiceUnavailable, Problem{"", "UNAVAILABLE", "This cannot be done now. Try again."})
}

// Handle makes a handler of one that returns an error. h writes its answer last, so that an error is all that is
// answered.
func Handle(log *slog.Logger, h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			Refuse(w, r, log, err)
		}
	}
}

// WriteJSON answers with v as JSON. API answers are for one caller: no cache on the way may keep them.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
		body = []byte(`{"problems":[{"field":"","type":"INTERNAL","description":"The answer could not be written."}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that has hung up does not miss it
}

// WriteProblems answers {"problems": [...]}.
func WriteProblems(w http.ResponseWriter, status int, problems ...Problem) {
	WriteJSON(w, status, struct {
		Problems []Problem `json:"problems"`
	}{problems})
}
