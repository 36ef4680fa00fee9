package access

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	usualSpan = 7 * 24 * time.Hour // of the trail, if the caller does not say from when
	maxScan   = 10_000             // entries that one page reads, for a caller who may see few of them
)

// errPosition means that a position is not that of a page of the trail.
var errPosition = errors.New("the position is not that of a page")

// Page returns up to size entries of [from, to) that a caller with the limit may see, oldest first, after a position,
// and the position at which the next page begins, or "" at the end. A page may be short, or empty, and not be the
// last. A position that is none is an error.
func (t *Trail) Page(
	ctx context.Context, from, to time.Time, limit Limit, after string, size int,
) (entries []Entry, next string, err error) {
	if after != "" {
		text, _, ok := strings.Cut(after, "|")
		at, err := time.Parse(momentFormat, text)
		if err != nil || !ok || at.Before(from) {
			return nil, "", errPosition
		}
		from = at
	}
	scanned, last := 0, ""
	for item, err := range t.items(ctx, from, to) {
		if err == nil && item.Sort <= after {
			continue
		}
		e, err := entryOf(item, err)
		if err != nil {
			return nil, "", err
		}
		if len(entries) == size || scanned == maxScan {
			return entries, last, nil
		}
		if e.visible(limit) {
			entries = append(entries, e)
		}
		scanned, last = scanned+1, item.Sort
	}
	return entries, "", nil
}

// items yields what is stored of [from, to), oldest first.
func (t *Trail) items(ctx context.Context, from, to time.Time) func(yield func(table.Item, error) bool) {
	return func(yield func(table.Item, error) bool) {
		for day := from.UTC().Truncate(24 * time.Hour); day.Before(to); day = day.Add(24 * time.Hour) {
			// The bounds are bare times: an entry of that very moment sorts after it, since "|" and more follow.
			q := table.Query{Partition: trailPartition(day), From: moment(from), To: moment(to)}
			for item, err := range t.Table.Query(ctx, q) {
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}

// TrailAPI is how administrators read the trail: GET /v1/trail. A limited administrator sees the entries that concern
// only connections of its limit.
type TrailAPI struct {
	Trail *Trail
	Log   *slog.Logger
}

// Routes are the doors of the API.
func (a *TrailAPI) Routes() []Route {
	return []Route{{Pattern: "GET /v1/trail", Roles: []Role{Admin}, Handler: Handle(a.Log, a.list)}}
}

// shownEntry is an Entry on the wire.
type shownEntry struct {
	At      time.Time       `json:"at"`
	Who     string          `json:"who"`
	What    string          `json:"what"`
	Detail  json.RawMessage `json:"detail"` // null if "what" says it all
	Count   int64           `json:"count"`
	Purpose string          `json:"purpose"`
}

// list answers {"entries", "nextPgToken"}. Reading the trail is in the trail too, before the answer leaves.
func (a *TrailAPI) list(w http.ResponseWriter, r *http.Request) error {
	from, to, page, err := readSpan(r, a.Trail.Now())
	if err != nil {
		return err
	}
	ctx := r.Context()
	entries, next, err := a.Trail.Page(ctx, from, to, From(ctx).Limit, page.After, page.Size)
	if errors.Is(err, errPosition) {
		return Invalid("pgToken", notAToken)
	}
	if err != nil {
		return err
	}
	detail, err := json.Marshal(map[string]string{"from": moment(from), "to": moment(to)})
	if err != nil {
		return err
	}
	read := Entry{What: "trail.read", Detail: string(detail), Count: int64(len(entries))}
	if err := a.Trail.Record(ctx, read); err != nil {
		return err
	}
	answer := struct {
		Entries []shownEntry `json:"entries"`
		Next    *string      `json:"nextPgToken"`
	}{[]shownEntry{}, PageToken(next)}
	for _, e := range entries {
		shown := shownEntry{At: e.At, Who: e.Who, What: e.What, Count: e.Count, Purpose: e.Purpose}
		if e.Detail != "" {
			shown.Detail = json.RawMessage(e.Detail)
		}
		answer.Entries = append(answer.Entries, shown)
	}
	WriteJSON(w, http.StatusOK, answer)
	return nil
}

// readSpan reads which part of the trail is asked for.
func readSpan(r *http.Request, now time.Time) (from, to time.Time, page Page, err error) {
	to = now
	parse := func(into *time.Time) func(string) string {
		return func(value string) (problem string) {
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return "The time must be RFC 3339, such as 2026-11-26T09:00:00Z."
			}
			*into = at
			return ""
		}
	}
	page, err = ReadPage(r, map[string]func(string) string{"from": parse(&from), "to": parse(&to)})
	if err != nil {
		return from, to, page, err
	}
	if from.IsZero() {
		from = to.Add(-usualSpan)
	}
	if to.Sub(from) > MaxDays*24*time.Hour || from.Year() < 1970 || to.Year() > 9999 {
		return from, to, page, Invalid("from", "The span must not be longer than 366 days.")
	}
	return from, to, page, nil
}
