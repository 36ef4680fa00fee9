// Package doctor examines a tenant at Microsoft, and says which of our assumptions hold there. It reads only: it starts
// no subscription and stores nothing. A report holds counts, codes and times, and no personal data.
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
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Microsoft is what the doctor asks. Every method reads only. It is safe for concurrent use.
type Microsoft interface {
	// CloudOf finds out which cloud a tenant lives in, from what Microsoft publishes.
	CloudOf(ctx context.Context, t connection.Tenant) (connection.Cloud, error)
	// MissingPermissions gets fresh tokens, and lists the permissions that they lack.
	MissingPermissions(ctx context.Context, t connection.Tenant) ([]string, error)
	// Subscriptions lists the tenant's subscriptions with their status.
	Subscriptions(ctx context.Context, t connection.Tenant) (map[audit.ContentType]string, error)
	// List returns one page of the blobs that became available in [from, to).
	List(
		ctx context.Context,
		t connection.Tenant,
		ct audit.ContentType,
		from, to time.Time,
		page string,
	) (audit.Page, error)
	// Open returns a content blob.
	Open(ctx context.Context, t connection.Tenant, uri string) (io.ReadCloser, error)
}

// Verdict is what was found of an assumption.
type Verdict string

// The verdicts.
const (
	Holds   Verdict = "holds"
	Fails   Verdict = "does not hold"
	NotSeen Verdict = "not seen"
)

// Finding is one assumption, and what was found of it.
type Finding struct {
	Assumption string         `json:"assumption"`
	Verdict    Verdict        `json:"verdict"`
	Found      string         `json:"found"`            // a sentence
	Counts     map[string]int `json:"counts,omitempty"` // by client, user type, operation
}

// Report is what was found of a tenant.
type Report struct {
	Tenant   connection.TenantID `json:"tenant"`
	Cloud    connection.Cloud    `json:"cloud"`
	At       time.Time           `json:"at"`
	Findings []Finding           `json:"findings"`
}

const (
	day      = 24 * time.Hour
	maxPages = 200      // of the listing of a day
	maxBlob  = 64 << 20 // bytes that are read of one blob
)

// Examine examines the tenant. An error of Microsoft's is a finding: the examination goes on with what can be seen.
func Examine(ctx context.Context, m Microsoft, t connection.Tenant, now time.Time) Report {
	e := &examination{
		Microsoft: m,
		tenant:    t,
		report:    Report{Tenant: t.ID, Cloud: t.Cloud, At: now.UTC().Truncate(time.Second)},
	}
	e.cloud(ctx)
	if e.permissions(ctx) && e.subscription(ctx) {
		if newest, ok := e.listing(ctx, now); ok {
			e.blob(ctx, newest)
		}
	}
	return e.report
}

type examination struct {
	Microsoft
	tenant connection.Tenant
	report Report
}

func (e *examination) found(assumption string, v Verdict, format string, args ...any) {
	e.report.Findings = append(
		e.report.Findings,
		Finding{Assumption: assumption, Verdict: v, Found: fmt.Sprintf(format, args...)},
	)
}

// failed is a finding about a call that did not succeed: a refusal contradicts the assumption, anything else says
// nothing about it.
func (e *examination) failed(assumption string, err error) {
	verdict, code := NotSeen, fault.Code(err)
	if errors.Is(err, fault.Refused) || errors.Is(err, fault.Ours) || errors.Is(err, audit.ErrNotSubscribed) {
		verdict = Fails
	}
	cause := connection.CauseOf(code).Reason("this tenant")
	e.found(assumption, verdict, "Microsoft answered %s. %s", cmp.Or(code, "nothing that we know"), cause)
}

func (e *examination) cloud(ctx context.Context) {
	const assumption = "the tenant lives in the cloud that we ask"
	switch cloud, err := e.CloudOf(ctx, e.tenant); {
	case err != nil:
		e.failed(assumption, err)
	case cloud != e.tenant.Cloud:
		e.found(assumption, Fails, "It lives in the cloud %s.", cloud)
	default:
		e.found(assumption, Holds, "It lives in the cloud %s.", cloud)
	}
}

func (e *examination) permissions(ctx context.Context) bool {
	const assumption = "tokens come, with the permissions that we need"
	missing, err := e.MissingPermissions(ctx, e.tenant)
	switch {
	case err != nil:
		e.failed(assumption, err)
	case len(missing) > 0:
		e.found(assumption, Fails, "Tokens come, but lack %s.", strings.Join(missing, ", "))
	default:
		e.found(assumption, Holds, "Tokens come, with all of them.")
	}
	return err == nil && !slices.Contains(missing, "ActivityFeed.Read")
}

func (e *examination) subscription(ctx context.Context) bool {
	const assumption = "the audit log of mail is subscribed"
	all, err := e.Subscriptions(ctx, e.tenant)
	if err != nil {
		e.failed(assumption, err)
		return false
	}
	status, ok := all[audit.Exchange]
	switch {
	case !ok:
		e.found(
			assumption,
			Fails,
			"There are %d subscriptions, and none to %s. The consent or the poller starts it.",
			len(all),
			audit.Exchange,
		)
	case !strings.EqualFold(status, "enabled"):
		e.found(assumption, Fails, "The subscription to %s is %q.", audit.Exchange, status)
	default:
		e.found(assumption, Holds, "The subscription to %s is enabled.", audit.Exchange)
	}
	return ok
}

// listing lists the last day, and returns its newest blob.
func (e *examination) listing(ctx context.Context, now time.Time) (newest audit.Listed, ok bool) {
	const assumption = "a day can be listed"
	var n, expiring int
	var next string
	for range maxPages {
		page, err := e.List(ctx, e.tenant, audit.Exchange, now.Add(-day), now, next)
		if err != nil {
			e.failed(assumption, err)
			return newest, false
		}
		for _, b := range page.Blobs {
			n++
			if b.Expires.Sub(b.Created) < 6*day {
				expiring++
			}
			if b.Created.After(newest.Created) {
				newest = b
			}
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if next != "" {
		e.found(assumption, Fails, "The listing of one day has more than %d pages.", maxPages)
		return newest, false
	}
	e.found(assumption, Holds, "%d blobs became available in the last 24 hours.", n)
	switch {
	case n == 0:
		e.found("blobs can be had for 7 days", NotSeen, "There is no blob.")
	case expiring > 0:
		e.found("blobs can be had for 7 days", Fails, "%d of %d expire within 6 days.", expiring, n)
	default:
		e.found("blobs can be had for 7 days", Holds, "All of them can.")
	}
	return newest, n > 0
}

// record is what the doctor reads of an audit record.
type record struct {
	Operation    string
	CreationTime string
	UserType     int
	Client       string `json:"ClientInfoString"`
	Item         struct{ Attachments, InternetMessageID string }
}

// blob reads one blob, and counts its sends.
func (e *examination) blob(ctx context.Context, b audit.Listed) {
	const assumption = "a blob can be read to its end"
	content, err := e.Open(ctx, e.tenant, b.URI)
	if err != nil {
		e.failed(assumption, err)
		return
	}
	defer content.Close()
	var records []record
	if err := json.NewDecoder(io.LimitReader(content, maxBlob)).Decode(&records); err != nil {
		e.found(assumption, NotSeen, "The blob broke off, or is no array of records.")
		return
	}
	counts, lags := map[string]int{}, []time.Duration{}
	sends, attached, named := 0, 0, 0
	for _, r := range records {
		if at, err := time.Parse("2006-01-02T15:04:05", r.CreationTime); err == nil {
			lags = append(lags, b.Created.Sub(at))
		}
		if !strings.HasPrefix(r.Operation, "Send") {
			continue
		}
		sends++
		counts["operation "+r.Operation]++
		counts[fmt.Sprint("user type ", r.UserType)]++
		client, _, _ := strings.Cut(r.Client, ";")
		counts["client "+cmp.Or(strings.TrimPrefix(client, "Client="), "unknown")]++
		if r.Item.Attachments != "" {
			attached++
		}
		if r.Item.InternetMessageID != "" {
			named++
		}
	}
	e.found(assumption, Holds, "It has %d records, and %d of them are sends.", len(records), sends)
	e.report.Findings[len(e.report.Findings)-1].Counts = counts
	e.lag(lags)
	share := func(what string, n int) {
		switch {
		case sends == 0:
			e.found("sends name their "+what, NotSeen, "There is no send in the blob.")
		case n == 0:
			e.found("sends name their "+what, Fails, "None of %d does.", sends)
		default:
			e.found("sends name their "+what, Holds, "%d of %d do.", n, sends)
		}
	}
	share("attachments", attached)
	share("message id", named)
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

// WriteText writes the report for people to read.
func (r Report) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Tenant %s, cloud %s, examined %s\n", r.Tenant, r.Cloud, r.At.Format(time.RFC3339))
	for _, f := range r.Findings {
		if err == nil {
			_, err = fmt.Fprintf(w, "\n%-14s %s\n               %s\n", f.Verdict, f.Assumption, strings.TrimSpace(f.Found))
		}
		for _, name := range sorted(f.Counts) {
			if err == nil {
				_, err = fmt.Fprintf(w, "               %6d  %s\n", f.Counts[name], name)
			}
		}
	}
	return err
}

func sorted(counts map[string]int) []string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
