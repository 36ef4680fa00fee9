package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
)

const (
	maxBlobs   = 20       // that are read
	maxBlob    = 64 << 20 // bytes that are read of one blob
	enough     = 50       // sends, after which no other blob is read
	maxClients = 20       // that are told apart; all others count as one
	perClient  = 50       // sends that are looked for in mailboxes
)

// sends is what was counted of the sends in blobs, and a sample of them.
type sends struct {
	blobs, records, poison         int
	all, attached, received, named int
	counts                         map[string]int
	lags                           []time.Duration
	clients                        map[string][]audit.Record // by client, perClient of each
}

// blobs reads blobs until they hold enough sends, and counts these. Most blobs hold few.
func (e *examination) blobs(ctx context.Context, newest []audit.Listed) (*sends, bool) {
	const (
		whole    = "a blob can be read to its end"
		readable = "every record can be read"
	)
	s := &sends{counts: map[string]int{}, clients: map[string][]audit.Record{}}
	for _, b := range newest {
		content, err := e.Open(ctx, e.tenant, b.URI)
		if err != nil {
			e.failed(whole, err)
			return nil, false
		}
		err = errors.Join(s.read(content, b.Created), content.Close())
		if err != nil {
			e.found(whole, NotSeen, "A blob broke off, or is no array of records, after %d records.", s.records)
			return nil, false
		}
		if s.all >= enough {
			break
		}
	}
	e.found(whole, Holds, "Of %d blobs with %d records, %d records are sends.", s.blobs, s.records, s.all)
	e.count(s.counts)
	if s.poison > 0 {
		e.found(readable, Fails, "%d of %d cannot.", s.poison, s.records)
	} else {
		e.found(readable, Holds, "All %d can.", s.records)
	}
	e.lag(s.lags)
	e.share("attachments", s.attached, s.all)
	e.share("recipients", s.received, s.all)
	e.share("message id", s.named, s.all)
	return s, true
}

// read reads one blob, record by record.
func (s *sends) read(content io.Reader, created time.Time) error {
	s.blobs++
	d := json.NewDecoder(io.LimitReader(content, maxBlob))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		s.records++
		if r, err := audit.Decode(raw); err != nil {
			s.poison++
		} else {
			s.add(r, created)
		}
	}
	_, err := d.Token()
	return err
}

func (s *sends) add(r audit.Record, created time.Time) {
	if !r.CreationTime.IsZero() {
		s.lags = append(s.lags, created.Sub(r.CreationTime))
	}
	if !r.Sends() {
		return
	}
	s.all++
	client := clientOf(r.ClientInfoString)
	if _, known := s.clients[client]; !known && len(s.clients) >= maxClients {
		client = "other"
	}
	s.counts["operation "+string(r.Operation)]++
	s.counts[count("user type %d", r.UserType)]++
	s.counts["client "+client]++
	if len(s.clients[client]) < perClient {
		s.clients[client] = append(s.clients[client], r)
	}
	if r.SendsFiles() {
		s.attached++
	}
	if r.RecipientCount > 0 || len(r.Recipients) > 0 {
		s.received++
	}
	if r.Item.InternetMessageID != "" {
		s.named++
	}
}

// clientOf is the name of a mail program in a ClientInfoString. What is no plain word could be anything, and is not
// repeated.
func clientOf(info string) string {
	name, _, _ := strings.Cut(info, ";")
	name = strings.TrimSpace(strings.TrimPrefix(name, "Client="))
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' && r != '.'
	}
	if len(name) > 40 || strings.ContainsFunc(name, odd) {
		return "other"
	}
	return cmp.Or(name, "unknown")
}

// share is how many sends have a field.
func (e *examination) share(what string, n, all int) {
	switch {
	case all == 0:
		e.found("sends name their "+what, NotSeen, "There is no send in the blobs that were read.")
	case n == 0:
		e.found("sends name their "+what, Fails, "None of %d does.", all)
	default:
		e.found("sends name their "+what, Holds, "%d of %d do (%d %%).", n, all, 100*n/all)
	}
}

// lag is how late Microsoft is.
func (e *examination) lag(all []time.Duration) {
	const assumption = "records are ready within 24 hours"
	if len(all) == 0 {
		e.found(assumption, NotSeen, "No record says when it was made.")
		return
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[int(share*float64(len(all)-1))].Round(time.Minute) }
	verdict := Holds
	if at(0.95) > day {
		verdict = Fails
	}
	e.found(assumption, verdict, "Half of them within %s, 95 %% within %s.", at(0.5), at(0.95))
}

func count(format string, args ...any) string { return fmt.Sprintf(format, args...) }
