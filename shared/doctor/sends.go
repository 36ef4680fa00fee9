package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
)

const (
	maxBlob    = 64 << 20 // bytes that are read of one blob
	maxClients = 20       // that are told apart; all others count as one
	perClient  = 50       // sends that are looked for in mailboxes
)

// sends is what was counted of the sends in a blob, and a sample of them.
type sends struct {
	all, attached, received, named int
	counts                         map[string]int
	lags                           []time.Duration
	clients                        map[string][]audit.Record // by client, perClient of each
}

// blob reads one blob, record by record, and counts its sends.
func (e *examination) blob(ctx context.Context, b audit.Listed) (*sends, bool) {
	const assumption = "a blob can be read to its end"
	content, err := e.Open(ctx, e.tenant, b.URI)
	if err != nil {
		e.failed(assumption, err)
		return nil, false
	}
	defer content.Close()
	s := &sends{counts: map[string]int{}, clients: map[string][]audit.Record{}}
	records, poison := 0, 0
	d := json.NewDecoder(io.LimitReader(content, maxBlob))
	_, err = d.Token()
	for err == nil && d.More() {
		var raw json.RawMessage
		if err = d.Decode(&raw); err != nil {
			break
		}
		records++
		if r, wrong := audit.Decode(raw); wrong != nil {
			poison++
		} else {
			s.add(r, b.Created)
		}
	}
	if err == nil {
		_, err = d.Token()
	}
	if err != nil {
		e.found(assumption, NotSeen, "The blob broke off after %d records, or is no array of records.", records)
		return nil, false
	}
	e.found(assumption, Holds, "It has %d records, and %d of them are sends.", records, s.all)
	e.count(s.counts)
	if poison > 0 {
		e.found("every record can be read", Fails, "%d of %d cannot.", poison, records)
	} else {
		e.found("every record can be read", Holds, "All %d can.", records)
	}
	e.lag(s.lags)
	e.share("attachments", s.attached, s.all)
	e.share("recipients", s.received, s.all)
	e.share("message id", s.named, s.all)
	return s, true
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
		e.found("sends name their "+what, NotSeen, "There is no send in the blob.")
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
