// Package doctor examines a tenant at Microsoft, and says which of our assumptions hold there. It reads only: it starts
// no subscription and stores nothing. A report holds counts, codes and times, and no personal data.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/people"
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
	// Roles lists the permissions that our tokens carry, by the resource that they are for.
	Roles(ctx context.Context, t connection.Tenant) (map[string][]string, error)
	// SamplePeople measures the first page of the directory; people.ErrTooLarge as for the census.
	SamplePeople(ctx context.Context, t connection.Tenant, size int) (Sample, error)
	// User is the one of people.Directory, and what follows are those of enrich.Graph.
	User(ctx context.Context, t connection.Tenant, name string) (people.Person, error)
	FindSent(ctx context.Context, t connection.Tenant, mailbox, internetMessageID string) ([]enrich.Mail, error)
	FindAnywhere(ctx context.Context, t connection.Tenant, mailbox, internetMessageID string) ([]enrich.Mail, error)
	FindDeleted(ctx context.Context, t connection.Tenant, mailbox, internetMessageID string) ([]enrich.Mail, error)
	FindAround(
		ctx context.Context, t connection.Tenant, mailbox string, folder enrich.Folder, from, to time.Time,
	) (mails []enrich.Mail, all bool, err error)
	Attachments(ctx context.Context, t connection.Tenant, mailbox, message string) ([]enrich.Attached, error)
}

// Consent is what the store keeps of the tenant's consent.
type Consent struct {
	Given  bool   // an administrator has consented
	Claims string // which of the claims wids and acct the id_token had; "" if that was not kept
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
	maxPages = 200 // of the listing of a day
	longest  = 10 * time.Minute
)

// Examine examines the tenant, within 10 minutes. An error of Microsoft's is a finding: the examination goes on with
// what can be seen. consent is nil where no store is at hand.
func Examine(ctx context.Context, m Microsoft, t connection.Tenant, consent *Consent, now time.Time) Report {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	e := &examination{
		Microsoft: m,
		tenant:    t,
		report:    Report{Tenant: t.ID, Cloud: t.Cloud, At: now.UTC().Truncate(time.Second)},
	}
	e.cloud(ctx)
	e.claims(consent)
	read, graph := e.permissions(ctx)
	if graph {
		e.directory(ctx)
	}
	if read && e.subscription(ctx) {
		if newest, ok := e.listing(ctx, now); ok {
			if all, ok := e.blobs(ctx, newest); ok && graph {
				e.mailboxes(ctx, all)
			}
		}
	}
	e.unseen()
	return e.report
}

// assumptions are those that need an answer of Microsoft's, in the order of the examination.
var assumptions = []string{
	"the tenant lives in the cloud that we ask",
	"tokens come, with the permissions that we need",
	"the directory can be read",
	"a page of the directory holds as many people as were asked for",
	"$select returns every property that was asked for",
	"the audit log of mail is subscribed",
	"a day can be listed",
	"blobs can be had for 7 days",
	"a blob can be read to its end",
	"every record can be read",
	"records are ready within 24 hours",
	"sends name their attachments",
	"sends name their recipients",
	"sends name their message id",
	"the directory knows who sends",
	"mailboxes can be read by object id",
	"every mailbox and person can be asked for",
	"the copy of a send has the record's message id",
	"the copy of a send has the attachments that the record names",
	"a record without attachments is of a mail without attachments",
	"Recoverable Items can be read",
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

// count adds counts to the last finding.
func (e *examination) count(counts map[string]int) {
	e.report.Findings[len(e.report.Findings)-1].Counts = counts
}

// unseen adds every assumption that the examination did not get to.
func (e *examination) unseen() {
	for _, assumption := range assumptions {
		if !slices.ContainsFunc(e.report.Findings, func(f Finding) bool { return f.Assumption == assumption }) {
			e.found(assumption, NotSeen, "The examination did not get that far.")
		}
	}
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

// claims says which claims the id_token of the consent had.
func (e *examination) claims(c *Consent) {
	for _, claim := range []string{"wids", "acct"} {
		assumption := "the id_token of a consent has the claim " + claim
		switch {
		case c == nil:
			e.found(assumption, NotSeen, "No store with a connection to this tenant is at hand.")
		case !c.Given:
			e.found(assumption, NotSeen, "No administrator has consented yet.")
		case c.Claims == "":
			e.found(assumption, NotSeen, "The consent is older than the record of its claims.")
		case slices.Contains(strings.Fields(c.Claims), claim):
			e.found(assumption, Holds, "The last consent had it.")
		default:
			e.found(assumption, Fails, "The last consent did not have it.")
		}
	}
}

// permissions says which permissions our tokens carry, and returns whether the audit log and Graph can be asked.
func (e *examination) permissions(ctx context.Context) (log, graph bool) {
	const assumption = "tokens come, with the permissions that we need"
	missing, err := e.MissingPermissions(ctx, e.tenant)
	var roles map[string][]string
	if err == nil {
		roles, err = e.Roles(ctx, e.tenant)
	}
	if err != nil {
		e.failed(assumption, err)
		return false, false
	}
	var carried strings.Builder
	for _, resource := range slices.Sorted(maps.Keys(roles)) {
		list := cmp.Or(strings.Join(roles[resource], ", "), "none")
		fmt.Fprintf(&carried, " For the %s they carry: %s.", resource, list)
	}
	if len(missing) > 0 {
		e.found(assumption, Fails, "Tokens come, but lack %s.%s", strings.Join(missing, ", "), carried.String())
	} else {
		e.found(assumption, Holds, "Tokens come, with all of them.%s", carried.String())
	}
	return !slices.Contains(missing, "ActivityFeed.Read"), !slices.Contains(missing, "User.Read.All")
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

// listing lists the last day, and returns its newest blobs, the newest first.
func (e *examination) listing(ctx context.Context, now time.Time) (newest []audit.Listed, ok bool) {
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
		}
		newest = append(newest, page.Blobs...)
		slices.SortStableFunc(newest, func(x, y audit.Listed) int { return y.Created.Compare(x.Created) })
		newest = slices.Clone(newest[:min(len(newest), maxBlobs)])
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

// WriteText writes the report for people to read.
func (r Report) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Tenant %s, cloud %s, examined %s\n", r.Tenant, r.Cloud, r.At.Format(time.RFC3339))
	for _, f := range r.Findings {
		if err == nil {
			_, err = fmt.Fprintf(w, "\n%-14s %s\n               %s\n",
				f.Verdict, f.Assumption, strings.TrimSpace(f.Found))
		}
		for _, name := range slices.Sorted(maps.Keys(f.Counts)) {
			if err == nil {
				_, err = fmt.Fprintf(w, "               %6d  %s\n", f.Counts[name], name)
			}
		}
	}
	return err
}
