package people

import (
	"context"
	"encoding/csv"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

const strangerSentence = "Not monitored: the tenant's directory does not know this sender. It may be a service " +
	"account, an account on premises, or one that was deleted before this service knew it."

// shownPerson is a person on the wire.
type shownPerson struct {
	ID        ObjectID `json:"id,omitempty"`
	Email     string   `json:"email"` // the primary address, or the principal's name
	Principal string   `json:"principal"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Coverage  Coverage `json:"coverage"`
	Reason    string   `json:"reason"`
	// Changes are what the coverage was until a time, in the last 90 days, leaving the scope aside.
	Changes  []coverageChange `json:"changes"`
	Enabled  bool             `json:"enabled"`
	Guest    bool             `json:"guest"`
	Mailbox  bool             `json:"mailbox"`
	Plan     string           `json:"plan"`     // status of the plan M365_ADVANCED_AUDITING; "" without it
	LastSend *time.Time       `json:"lastSend"` // of a mail with attachments
	LastMail *time.Time       `json:"lastMail"` // of any mail
	Quiet    bool             `json:"quiet"`    // monitored, and no send was seen in 30 days
}

const quietSentence = " No mail was seen in 30 days: if the person sends mail, check that " +
	"mailbox auditing is on and that Send is among the audited actions."

func showPerson(p Covered) shownPerson {
	shown := shownPerson{
		ID: p.ID, Email: p.email(), Principal: p.Principal, Name: p.Name, Addresses: append([]string{}, p.Addresses...),
		Coverage: p.Coverage, Reason: p.Reason, Changes: append([]coverageChange{}, p.Changes...),
		Enabled: p.Enabled, Guest: p.Guest, Mailbox: p.Mailbox, Plan: p.Plan, LastSend: orNull(p.LastSend), Quiet: p.Quiet,
		LastMail: orNull(p.LastMail),
	}
	if p.Quiet {
		shown.Reason += quietSentence
	}
	return shown
}

func (p Person) email() string {
	if len(p.Addresses) > 0 {
		return p.Addresses[0]
	}
	return p.Principal
}

// shownSums are Sums on the wire, with how far the census has come.
type shownSums struct {
	People     int64              `json:"people"`
	ByCoverage map[Coverage]int64 `json:"byCoverage"`
	Quiet      int64              `json:"quiet"`
	Census     shownState         `json:"census"`
}

// shownState is a State on the wire.
type shownState struct {
	Phase    Phase      `json:"phase"` // what is under way; "" for nothing
	Told     int64      `json:"told"`  // people listed in the pass under way, or in the last one
	Begun    *time.Time `json:"begun"`
	Finished *time.Time `json:"finished"`
	Swept    *time.Time `json:"swept"` // when everybody was last read
	Problem  string     `json:"problem"`
}

// Report says how a connection's people are covered, and how far its census has come, in the shape in which
// APIs show it.
func (r *Roster) Report(ctx context.Context, c connection.ID) (any, error) {
	sums, err := r.Sums(ctx, c)
	if err != nil {
		return nil, err
	}
	s, err := r.State(ctx, c)
	if err != nil {
		return nil, err
	}
	return shownSums{People: sums.People, ByCoverage: sums.ByCoverage, Quiet: sums.Quiet, Census: shownState{
		Phase: s.Phase, Told: s.People, Begun: orNull(s.Begun), Finished: orNull(s.Finished), Swept: orNull(s.Swept),
		Problem: s.Problem,
	}}, nil
}

// question is which people are asked for.
type question struct {
	access.Page
	coverage Coverage // "" is all
	quiet    bool
}

// list answers {"people", "nextPgToken"}, and on the first page "sums".
func (a *API) list(w http.ResponseWriter, r *http.Request, c connection.ID) error {
	q, err := readQuestion(r)
	if err != nil {
		return err
	}
	if err := a.act(r, "people.list", c, map[string]any{"coverage": q.coverage, "quiet": q.quiet}); err != nil {
		return err
	}
	answer := struct {
		People []shownPerson `json:"people"`
		Next   *string       `json:"nextPgToken"`
		Sums   any           `json:"sums,omitempty"`
	}{People: []shownPerson{}}
	if answer.People, answer.Next, err = a.page(r.Context(), c, q); err != nil {
		return err
	}
	if q.After == "" {
		if answer.Sums, err = a.Roster.Report(r.Context(), c); err != nil {
			return err
		}
	}
	access.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func readQuestion(r *http.Request) (q question, err error) {
	q.Page, err = access.ReadPage(r, map[string]func(string) string{
		"coverage": func(value string) string {
			if q.coverage = Coverage(value); q.coverage != Stranger && !slices.Contains(Coverages(), q.coverage) {
				return "The coverage must be one of monitored, noLicence, disabled, noMailbox, outOfScope, unknown."
			}
			return ""
		},
		"quiet": func(value string) string {
			quiet, err := strconv.ParseBool(value)
			if err != nil {
				return "The value must be true or false."
			}
			q.quiet = quiet
			return ""
		},
	})
	return q, err
}

// page reads until the page is full and one more is found, so that the last page has no token.
func (a *API) page(ctx context.Context, c connection.ID, q question) (people []shownPerson, next *string, err error) {
	people = []shownPerson{}
	if q.coverage == Stranger {
		for name, err := range a.Roster.Unknowns(ctx, c, q.After) {
			if err != nil {
				return nil, nil, err
			}
			if len(people) == q.Size {
				return people, access.PageToken(people[q.Size-1].Email), nil
			}
			people = append(people, shownPerson{Email: name, Addresses: []string{}, Coverage: Stranger,
				Reason: strangerSentence})
		}
		return people, nil, nil
	}
	for p, err := range a.Roster.All(ctx, c, ObjectID(q.After)) {
		if err != nil {
			return nil, nil, err
		}
		if !q.wants(p) {
			continue
		}
		if len(people) == q.Size {
			return people, access.PageToken(string(people[q.Size-1].ID)), nil
		}
		people = append(people, showPerson(p))
	}
	return people, nil, nil
}

func (q question) wants(p Covered) bool {
	return (q.coverage == "" || q.coverage == p.Coverage) && (!q.quiet || p.Quiet)
}

func (a *API) person(w http.ResponseWriter, r *http.Request, c connection.ID) error {
	address := r.PathValue("address")
	if err := a.act(r, "people.read", c, map[string]any{"address": address}); err != nil {
		return err
	}
	p, err := a.Roster.Find(r.Context(), c, address)
	if errors.Is(err, ErrUnknown) {
		return errNobody
	}
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, showPerson(p))
	return nil
}

// errNobody means that the census has nobody with an address.
var errNobody = &access.Refused{Status: http.StatusNotFound, Problems: []access.Problem{
	{Field: "address", Type: "NOT_FOUND", Description: "The census knows nobody with this address."},
}}

// export answers with everybody as CSV, as it is read. If the table fails on the way the connection is broken off, so
// that nobody takes a part for the whole.
func (a *API) export(w http.ResponseWriter, r *http.Request, c connection.ID) error {
	if err := a.act(r, "people.export", c, nil); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="people-`+string(c)+`.csv"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := a.write(r.Context(), csv.NewWriter(w), c); err != nil {
		a.Log.ErrorContext(r.Context(), "the export of people broke off", "connection", c, "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// write returns the table's error. Errors of writing are ignored: a client that hung up does not miss the rest,
// and a door that cannot pass so much says so itself.
func (a *API) write(ctx context.Context, out *csv.Writer, c connection.ID) error {
	_ = out.Write([]string{"email", "principal", "name", "coverage", "reason", "enabled", "guest", "mailbox", "plan",
		"lastSend", "quiet", "lastMail"})
	for p, err := range a.Roster.All(ctx, c, "") {
		if err != nil {
			return err
		}
		shown := showPerson(p)
		last := [2]string{}
		for i, at := range [...]*time.Time{shown.LastSend, shown.LastMail} {
			if at != nil {
				last[i] = at.Format(time.RFC3339)
			}
		}
		row := []string{
			plain(shown.Email), plain(shown.Principal), plain(shown.Name), string(shown.Coverage), shown.Reason,
			strconv.FormatBool(shown.Enabled),
			strconv.FormatBool(shown.Guest), strconv.FormatBool(shown.Mailbox), plain(shown.Plan), last[0],
			strconv.FormatBool(shown.Quiet), last[1],
		}
		if out.Write(row) != nil {
			return nil
		}
	}
	out.Flush()
	return nil
}

// plain keeps a spreadsheet from taking a text of the directory for a formula, as it does with any that begins
// with one of these.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}
