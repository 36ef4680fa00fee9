package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// Placeholders for a missing hash.
const (
	notFound = "in no mailbox"
	noHash   = "no hash"
)

// truth is what a company really sent: one line for each attachment, with its count. Recipients and hashes are known if
// a mailbox keeps the mail; an attached mail or link has no hash.
func truth(c *company.Company, slice company.Slice) (map[string]int, error) {
	kept := map[string]bool{}
	for _, m := range slice.Messages {
		kept[m.InternetMessageID] = kept[m.InternetMessageID] || !m.Draft
	}
	lines := map[string]int{}
	for _, sent := range slice.Truth {
		if sent.Noise {
			continue
		}
		if err := c.Hash(&sent); err != nil {
			return nil, err
		}
		for _, f := range sent.Files {
			hash, recipients := cmp.Or(f.SHA256, noHash), sent.Recipients
			if !kept[sent.InternetMessageID] {
				hash, recipients = notFound, nil
			}
			lines[line(sent.Observed, sent.Actor, sent.Sender, sent.From, sent.Subject, f.Name, hash, recipients)]++
		}
	}
	return lines, nil
}

func line(at time.Time, actor, sender, from, subject, name, hash string, recipients []string) string {
	// Addresses keep the case in which Microsoft wrote them.
	people := strings.ToLower(actor + " | " + sender + " | " + from)
	var to []string
	for _, r := range recipients {
		to = append(to, strings.ToLower(r))
	}
	slices.Sort(to)
	return fmt.Sprintf("%s | %s | %s | %s | %s | %s", at.UTC().Format(time.RFC3339), people, subject, name, hash,
		slices.Compact(to))
}

func total(lines map[string]int) int {
	n := 0
	for _, times := range lines {
		n += times
	}
	return n
}

// found is the part of a file event that the story checks.
type found struct {
	Timestamp time.Time `json:"@timestamp"`
	Event     struct{ ID string }
	User      struct{ Email string }
	File      struct {
		Name string
		Hash struct{ SHA256, SHA256Error *string }
	}
	Source struct {
		Email struct{ Sender, From string }
	}
	Destination struct {
		Email struct {
			Subject    string
			Recipients []string
		}
	}
}

func (e found) line() string {
	hash, recipients := noHash, e.Destination.Email.Recipients
	switch h := e.File.Hash; {
	case h.SHA256 != nil:
		hash = *h.SHA256
	case h.SHA256Error != nil && strings.Contains(*h.SHA256Error, notFound):
		hash, recipients = notFound, nil
	}
	return line(e.Timestamp, e.User.Email, e.Source.Email.Sender, e.Source.Email.From, e.Destination.Email.Subject,
		e.File.Name, hash, recipients)
}

// search returns all settled events, page by page in the order of their ids.
func (t *teller) search(ctx context.Context) ([]found, error) {
	return t.matching(ctx, "event.observer", "Office365")
}

// matching returns all events whose term is value.
func (t *teller) matching(ctx context.Context, term, value string) ([]found, error) {
	const query = `{"groups":[{"filters":[{"term":%q,"operator":"IS","value":%q}]}],"pgSize":97,"pgToken":%s,` +
		`"srtKey":"event.id","srtDir":"asc"}`
	var all []found
	for token := `""`; ; {
		var page struct {
			FileEvents  []found
			NextPgToken *string
		}
		if err := t.ask(ctx, http.MethodPost, "/v2/file-events", fmt.Sprintf(query, term, value, token), http.StatusOK,
			&page); err != nil {
			return nil, err
		}
		all = append(all, page.FileEvents...)
		if page.NextPgToken == nil {
			return all, nil
		}
		token = fmt.Sprintf("%q", *page.NextPgToken)
	}
}

// compare reports events that were never sent or were found too often, and, once there are as many as were sent, those
// that are missing.
func compare(events []found, want map[string]int) error {
	got, ids, why := map[string]int{}, map[string]bool{}, map[string]string{}
	for _, e := range events {
		got[e.line()]++
		if reason := e.File.Hash.SHA256Error; reason != nil {
			why[e.line()] = *reason
		}
		if ids[e.Event.ID] {
			return fmt.Errorf("event %s is found twice", e.Event.ID)
		}
		ids[e.Event.ID] = true
	}
	var wrong []error
	for _, l := range slices.Sorted(maps.Keys(got)) {
		if got[l] > want[l] {
			wrong = append(wrong, fmt.Errorf("found %d times, sent %d times: %s %s", got[l], want[l], l, why[l]))
		}
	}
	return errors.Join(wrong[:min(len(wrong), 10)]...) // as many as were sent and none too many: none is missing
}
