package people

import (
	"context"
	"encoding/csv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// stranger is the coverage, on the wire, of a sender whom the directory does not know.
const stranger Coverage = "unknown"

const strangerSentence = "Not monitored: the tenant's directory does not know this sender. It may be a service " +
	"account, an account on premises, or one that was deleted before this service knew it."

// shownPerson is a person on the wire.
type shownPerson struct {
	ID        ObjectID   `json:"id,omitempty"`
	Email     string     `json:"email"` // the primary address, or the principal's name
	Principal string     `json:"principal"`
	Name      string     `json:"name"`
	Addresses []string   `json:"addresses"`
	Coverage  Coverage   `json:"coverage"`
	Reason    string     `json:"reason"`
	Enabled   bool       `json:"enabled"`
	Guest     bool       `json:"guest"`
	Mailbox   bool       `json:"mailbox"`
	Plan      string     `json:"plan"`     // status of the plan M365_ADVANCED_AUDITING; "" without it
	LastSend  *time.Time `json:"lastSend"` // of a mail with attachments
	Quiet     bool       `json:"quiet"`    // monitored, and no send was seen in 30 days
}

const quietSentence = " No mail with attachments was seen in 30 days: if the person sends mail, check that " +
	"mailbox auditing is on and that Send is among the audited actions."

func showPerson(p Covered) shownPerson {
	shown := shownPerson{
		ID: p.ID, Email: p.email(), Principal: p.Principal, Name: p.Name, Addresses: append([]string{}, p.Addresses...),
		Coverage: p.Coverage, Reason: p.Coverage.Sentence(),
		Enabled: p.Enabled, Guest: p.Guest, Mailbox: p.Mailbox, Plan: p.Plan, LastSend: orNull(p.LastSend), Quiet: p.Quiet,
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
	Told     int64      `json:"told"`  // people that the directory told of in the pass under way, or in the last one
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
	coverage Coverage // "" is all
	quiet    bool
	after    string // the last one of the page before
	size     int
}

// list answers {"people", "nextPgToken"}, and on the first page "sums".
func (a *API) list(w http.ResponseWriter, r *http.Request, c connection.ID) {
	q, problems := readQuestion(r)
	if len(problems) > 0 {
		access.WriteProblems(w, http.StatusBadRequest, problems...)
		return
	}
	if !a.record(w, r, "people.list", map[string]any{"connection": c, "coverage": q.coverage, "quiet": q.quiet}) {
		return
	}
	answer := struct {
		People []shownPerson `json:"people"`
		Next   *string       `json:"nextPgToken"`
		Sums   any           `json:"sums,omitempty"`
	}{People: []shownPerson{}}
	var err error
	if answer.People, answer.Next, err = a.page(r.Context(), c, q); err == nil && q.after == "" {
		answer.Sums, err = a.Roster.Report(r.Context(), c)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusOK, answer)
}

func readQuestion(r *http.Request) (q question, problems []access.Problem) {
	wrong := func(field, description string) {
		problems = append(problems, access.Problem{Field: field, Type: "INVALID_VALUE", Description: description})
	}
	q.size = usualPage
	for name, values := range r.URL.Query() {
		value := values[0]
		if len(values) > 1 {
			wrong(name, "The parameter may be given once.")
			continue
		}
		var err error
		switch name {
		case "coverage":
			if q.coverage = Coverage(value); q.coverage != stranger && !slices.Contains(Coverages(), q.coverage) {
				wrong(name, "The coverage must be one of monitored, noLicence, disabled, noMailbox, outOfScope, unknown.")
			}
		case "quiet":
			if q.quiet, err = strconv.ParseBool(value); err != nil {
				wrong(name, "The value must be true or false.")
			}
		case "pgSize":
			if q.size, err = strconv.Atoi(value); err != nil || q.size < 1 || q.size > maxPage {
				wrong(name, "The size of a page must be from 1 to 1000.")
			}
		case "pgToken":
			if q.after = value; len(value) > maxName || strings.ToValidUTF8(value, "") != value {
				wrong(name, "The token must be the nextPgToken of a page.")
			}
		default:
			wrong(name, "The parameter is not known.")
		}
	}
	return q, problems
}

// page reads until the page is full and one more is found, so that the last page has no token.
func (a *API) page(ctx context.Context, c connection.ID, q question) (people []shownPerson, next *string, err error) {
	people = []shownPerson{}
	if q.coverage == stranger {
		for name, err := range a.Roster.Unknowns(ctx, c, q.after) {
			if err != nil {
				return nil, nil, err
			}
			if len(people) == q.size {
				return people, &people[q.size-1].Email, nil
			}
			people = append(people, shownPerson{Email: name, Addresses: []string{}, Coverage: stranger,
				Reason: strangerSentence})
		}
		return people, nil, nil
	}
	for p, err := range a.Roster.All(ctx, c, ObjectID(q.after)) {
		if err != nil {
			return nil, nil, err
		}
		if !q.wants(p) {
			continue
		}
		if len(people) == q.size {
			last := string(people[q.size-1].ID)
			return people, &last, nil
		}
		people = append(people, showPerson(p))
	}
	return people, nil, nil
}

func (q question) wants(p Covered) bool {
	return (q.coverage == "" || q.coverage == p.Coverage) && (!q.quiet || p.Quiet)
}

func (a *API) person(w http.ResponseWriter, r *http.Request, c connection.ID) {
	address := r.PathValue("address")
	if !a.record(w, r, "people.read", map[string]any{"connection": c, "address": address}) {
		return
	}
	p, err := a.Roster.Find(r.Context(), c, address)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusOK, showPerson(p))
}

// export answers with everybody as CSV, as it is read. When the table fails on the way the connection is broken
// off, so that nobody takes a part for the whole.
func (a *API) export(w http.ResponseWriter, r *http.Request, c connection.ID) {
	if !a.record(w, r, "people.export", map[string]any{"connection": c}) {
		return
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
}

// write returns the table's error. One of writing is nobody's here: whoever hung up does not miss the rest, and
// a door that cannot pass so much says so itself.
func (a *API) write(ctx context.Context, out *csv.Writer, c connection.ID) error {
	_ = out.Write([]string{"email", "principal", "name", "coverage", "reason", "enabled", "guest", "mailbox", "plan",
		"lastSend", "quiet"})
	for p, err := range a.Roster.All(ctx, c, "") {
		if err != nil {
			return err
		}
		shown := showPerson(p)
		last := ""
		if shown.LastSend != nil {
			last = shown.LastSend.Format(time.RFC3339)
		}
		row := []string{
			plain(shown.Email), plain(shown.Principal), plain(shown.Name), string(shown.Coverage), shown.Reason,
			strconv.FormatBool(shown.Enabled),
			strconv.FormatBool(shown.Guest), strconv.FormatBool(shown.Mailbox), plain(shown.Plan), last,
			strconv.FormatBool(shown.Quiet),
		}
		if out.Write(row) != nil {
			return nil
		}
	}
	out.Flush()
	return nil
}

// plain keeps a text of the directory from being a formula to a spreadsheet, which takes what begins with one
// of these for one.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}
