package search

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/mailtrail/mailtrail/shared/access"
)

// Routes are the doors of Forensic Search.
func (s *Search) Routes() []access.Route {
	return []access.Route{
		{
			Pattern: "POST /v2/file-events", Roles: []access.Role{access.Admin, access.Analyst},
			Handler: http.HandlerFunc(s.fileEvents),
		},
	}
}

// fileEvents answers one query (Incydr: POST /v2/file-events): 200 with a page of events, 400 with what is wrong with
// the query, 413 if it is too large, 415 if it is not JSON, 500 if the search took too long or failed.
//
// The search is in the trail before its answer leaves. If it cannot be recorded, there is no answer.
func (s *Search) fileEvents(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if s.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Limit)
		defer cancel()
	}
	body, err := access.ReadBody(w, r, MaxBody)
	if refused := (*access.Refused)(nil); errors.As(err, &refused) {
		types := map[int]ProblemType{
			http.StatusUnsupportedMediaType: UnsupportedMediaType, http.StatusRequestEntityTooLarge: MaxLengthExceeded,
			http.StatusBadRequest: IllegalValue,
		}
		writeProblems(w, refused.Status, problem(types[refused.Status], "%s", refused))
		return
	}
	result, err := s.answer(ctx, body)
	if err != nil {
		s.fail(ctx, w, err)
		return
	}
	write(w, result)
}

// answer runs the query in body and records it in the trail.
func (s *Search) answer(ctx context.Context, body []byte) (Result, error) {
	q, err := Parse(body, s.Now())
	if err != nil {
		return Result{}, err
	}
	result, err := s.Run(ctx, q)
	if err != nil {
		return Result{}, err
	}
	if s.MaxAnswer > 0 && q.inTokens() { // before it is recorded how many events were returned
		result.cut(s.MaxAnswer - envelope)
	}
	var asked bytes.Buffer
	if err := json.Compact(&asked, body); err != nil {
		return Result{}, fmt.Errorf("put the query on one line: %w", err)
	}
	err = s.Trail.Record(ctx, access.Entry{
		At:          s.Now(),
		Who:         access.From(ctx).ID,
		What:        "search",
		Detail:      asked.String(),
		Count:       int64(result.Len()),
		Connections: access.From(ctx).Limit,
	})
	return result, err
}

// fail answers an error: everything that is wrong with the query; otherwise a sentence with an id, under which the
// log has the cause.
func (s *Search) fail(ctx context.Context, w http.ResponseWriter, err error) {
	if problems := problemsOf(err); len(problems) > 0 {
		writeProblems(w, http.StatusBadRequest, problems...)
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the caller has hung up
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		writeProblems(w, http.StatusInternalServerError, problem(QueryTimeout,
			"The search took longer than %s. Narrow it, best by time.", s.Limit))
		return
	}
	id := strconv.FormatInt(s.Now().UnixMicro(), 36)
	s.Log.ErrorContext(ctx, "search failed", "id", id, "err", err)
	writeProblems(w, http.StatusInternalServerError, problem(SearchFailed,
		"The search failed on our side. Try again; the log has the cause under %s.", id))
}

// problemsOf returns the problems in err's tree.
func problemsOf(err error) []*Problem {
	if p, ok := err.(*Problem); ok {
		return []*Problem{p}
	}
	var all []*Problem
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, problemsOf(e)...)
		}
	}
	return all
}

func writeProblems(w http.ResponseWriter, status int, problems ...*Problem) {
	access.WriteJSON(w, status, struct {
		TotalCount  int        `json:"totalCount"`
		FileEvents  []struct{} `json:"fileEvents"` // never null: clients iterate over it
		NextPgToken *string    `json:"nextPgToken"`
		Problems    []*Problem `json:"problems"`
	}{FileEvents: []struct{}{}, Problems: problems})
}

const (
	flushBytes = 64 << 10 // of an answer are collected before they are sent
	envelope   = 1 << 10  // more than an answer has around its documents, or gzip adds to what it cannot compress
)

// write sends the page document by document, because it can have tens of megabytes.
func write(w http.ResponseWriter, r Result) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")

	b := make([]byte, 0, flushBytes+flushBytes/4)
	b = append(b, `{"totalCount":`...)
	b = strconv.AppendInt(b, int64(r.Total), 10)
	b = append(b, `,"fileEvents":[`...)
	comma := ""
	for document := range r.Documents() {
		b = append(append(b, comma...), document...)
		comma = ","
		if len(b) >= flushBytes {
			if _, err := w.Write(b); err != nil {
				return // the caller has hung up
			}
			b = b[:0]
		}
	}
	b = append(b, `],"nextPgToken":`...)
	if r.Next == "" {
		b = append(b, "null"...)
	} else {
		b = appendText(b, r.Next)
	}
	b = append(b, ",\"problems\":null}\n"...)
	_, _ = w.Write(b) // a caller that has hung up does not miss it
}
