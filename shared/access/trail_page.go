package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	usualPage = 100
	maxPage   = 1000
	usualSpan = 7 * 24 * time.Hour // of the trail, when nobody says from when
	maxToken  = 200
)

// errPage means that a token is none of a page of the trail.
var errPage = errors.New("the token is not that of a page")

// Page returns up to size entries of [from, to), oldest first, that come after a position, and the position of the last one when there are
// more; "" is from the start, and the end. A span of more than MaxDays, and a position that is none, is an error.
func (t *Trail) Page(ctx context.Context, from, to time.Time, after string, size int) (entries []Entry, next string, err error) {
	if after != "" {
		text, _, ok := strings.Cut(after, "|")
		at, err := time.Parse(momentFormat, text)
		if err != nil || !ok || at.Before(from) {
			return nil, "", errPage
		}
		from = at
	}
	last := ""
	for item, err := range t.items(ctx, from, to) {
		if err == nil && item.Sort <= after {
			continue
		}
		e, err := entryOf(item, err)
		if err != nil {
			return nil, "", err
		}
		if len(entries) == size {
			return entries, last, nil
		}
		entries, last = append(entries, e), item.Sort
	}
	return entries, "", nil
}

// TrailAPI is how administrators look at the trail: GET /v1/trail.
type TrailAPI struct {
	Trail *Trail
	Log   *slog.Logger
}

// Routes are the doors of the API.
func (a *TrailAPI) Routes() []Route {
	return []Route{{Pattern: "GET /v1/trail", Roles: []Role{Admin}, Handler: http.HandlerFunc(a.list)}}
}

// shownEntry is an Entry on the wire.
type shownEntry struct {
	At      time.Time       `json:"at"`
	Who     string          `json:"who"`
	What    string          `json:"what"`
	Detail  json.RawMessage `json:"detail"` // null when what says all
	Count   int64           `json:"count"`
	Purpose string          `json:"purpose"`
}

// list answers {"entries", "nextPgToken"}. Looking at the trail stands in the trail too, before the answer leaves.
func (a *TrailAPI) list(w http.ResponseWriter, r *http.Request) {
	q, problems := readTrailQuestion(r, a.Trail.Now())
	if len(problems) > 0 {
		WriteProblems(w, http.StatusBadRequest, problems...)
		return
	}
	entries, next, err := a.Trail.Page(r.Context(), q.from, q.to, q.after, q.size)
	if errors.Is(err, errPage) {
		WriteProblems(w, http.StatusBadRequest, Problem{Field: "pgToken", Type: "INVALID_VALUE", Description: "The token must be the nextPgToken of a page."})
		return
	}
	if err == nil {
		err = a.record(r, q, len(entries))
	}
	if err != nil {
		a.Log.ErrorContext(r.Context(), "request on the trail failed", "err", err)
		WriteProblems(w, http.StatusServiceUnavailable, Problem{Type: "UNAVAILABLE", Description: "This cannot be done now. Try again."})
		return
	}
	answer := struct {
		Entries []shownEntry `json:"entries"`
		Next    *string      `json:"nextPgToken"`
	}{Entries: []shownEntry{}}
	for _, e := range entries {
		shown := shownEntry{At: e.At, Who: e.Who, What: e.What, Detail: json.RawMessage("null"), Count: e.Count, Purpose: e.Purpose}
		if e.Detail != "" {
			shown.Detail = json.RawMessage(e.Detail)
		}
		answer.Entries = append(answer.Entries, shown)
	}
	if next != "" {
		token := base64.RawURLEncoding.EncodeToString([]byte(next))
		answer.Next = &token
	}
	WriteJSON(w, http.StatusOK, answer)
}

func (a *TrailAPI) record(r *http.Request, q trailQuestion, n int) error {
	detail, err := json.Marshal(map[string]string{"from": moment(q.from), "to": moment(q.to)})
	if err != nil {
		return err
	}
	return a.Trail.Record(r.Context(), Entry{Who: From(r.Context()).ID, What: "trail.read", Detail: string(detail), Count: int64(n)})
}

// trailQuestion is which part of the trail is asked for.
type trailQuestion struct {
	from, to time.Time
	after    string
	size     int
}

func readTrailQuestion(r *http.Request, now time.Time) (q trailQuestion, problems []Problem) {
	wrong := func(field, description string) {
		problems = append(problems, Problem{Field: field, Type: "INVALID_VALUE", Description: description})
	}
	q.to, q.size = now, usualPage
	for name, values := range r.URL.Query() {
		value := values[0]
		if len(values) > 1 {
			wrong(name, "The parameter may be given once.")
			continue
		}
		var err error
		switch name {
		case "from":
			q.from, err = time.Parse(time.RFC3339, value)
		case "to":
			q.to, err = time.Parse(time.RFC3339, value)
		case "pgSize":
			if q.size, err = strconv.Atoi(value); err != nil || q.size < 1 || q.size > maxPage {
				wrong(name, "The size of a page must be from 1 to 1000.")
			}
			continue
		case "pgToken":
			position, failed := base64.RawURLEncoding.DecodeString(value)
			if q.after = string(position); failed != nil || len(value) > maxToken || q.after == "" {
				wrong(name, "The token must be the nextPgToken of a page.")
			}
			continue
		default:
			wrong(name, "The parameter is not known.")
			continue
		}
		if err != nil {
			wrong(name, "The time must be RFC 3339, such as 2026-11-26T09:00:00Z.")
		}
	}
	if q.from.IsZero() {
		q.from = q.to.Add(-usualSpan)
	}
	if len(problems) == 0 && (q.to.Sub(q.from) > MaxDays*24*time.Hour || q.from.Year() < 1970 || q.to.Year() > 9999) {
		wrong("from", "The span must have 366 days at most.")
	}
	return q, problems
}

// items yields what is stored of [from, to), oldest first.
func (t *Trail) items(ctx context.Context, from, to time.Time) func(yield func(table.Item, error) bool) {
	return func(yield func(table.Item, error) bool) {
		for day := from.UTC().Truncate(24 * time.Hour); day.Before(to); day = day.Add(24 * time.Hour) {
			// Bounds are times alone: an entry of that very moment sorts after it, for "|" and more follow.
			q := table.Query{Partition: trailPartition(day), From: moment(from), To: moment(to)}
			for item, err := range t.Table.Query(ctx, q) {
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}
