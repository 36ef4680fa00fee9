package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/browser"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// teller runs the story on a stage, as its operator, its administrator and its analyst.
type teller struct {
	*stage
	client  *http.Client
	company *company.Company
	token   string
	id      string // of the connection
	blobs   int64
	truth   map[string]int
	seen    int // events that the last search found
}

// patience is longer than EnrichMinutes of the stage, because the company sends a mail that no mailbox keeps.
const patience = 3 * time.Minute

// morning begins a working day of the invented company.
func morning() time.Time { return time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC) }

// tell runs the whole story until search has found everything that was sent, and returns what it found.
func (s *stage) tell(ctx context.Context) (*teller, error) {
	t := &teller{
		stage: s, client: &http.Client{Transport: s},
		company: company.New(company.Options{Seed: 7, MailsPerHour: 150, Noise: 10}),
	}
	s.sim.AddTenant(t.company.Tenant(), t.company.People())
	for _, c := range t.chapters() {
		if err := c.tell(ctx); err != nil {
			log := s.log.String()
			return nil, fmt.Errorf("%s: %w; the functions' log ends:\n%s", c.title, err, log[max(0, len(log)-2000):])
		}
	}
	return t, s.honest()
}

// chapter is one part of the story. Tables, queues, schedules and routes come from the template. A new function gets a
// chapter of its own, and an entry in storm for the ways its processes may end.
type chapter struct {
	title string
	tell  func(context.Context) error
}

func (t *teller) chapters() []chapter {
	all := []chapter{{"log in", t.login}, {"add the connection", t.add}, {"consent", t.consent}}
	if t.weather.outage {
		all = append(all, chapter{"start anew while the credential cannot be read", t.outage})
	}
	return append(all,
		chapter{"take the census", t.counted}, chapter{"change the credential", t.rotate}, chapter{"send mail", t.send},
		chapter{"follow the audit log", t.follow},
		chapter{"see the new credential", t.reread}, chapter{"walk the other routes", t.others},
	)
}

// login creates an API client, as `aws lambda invoke` does, and exchanges its secret for a token.
func (t *teller) login(ctx context.Context) error {
	function, err := t.answering("POST /v1/connections")
	if err != nil {
		return err
	}
	answer, err := function.Invoke(ctx, []byte(`{"createClient":{"name":"story","roles":["admin","analyst"]}}`))
	if err != nil {
		return err
	}
	var made struct{ ClientID, ClientSecret string }
	if err := json.Unmarshal(answer, &made); err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+t.domain+"/v1/oauth", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(made.ClientID, made.ClientSecret)
	var out struct {
		Token string `json:"access_token"`
	}
	if err := t.do(req, http.StatusOK, &out); err != nil {
		return err
	}
	t.token = out.Token
	return nil
}

// answering returns the function of a route.
func (s *stage) answering(pattern string) (*function, error) {
	routes, err := s.template.routes()
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if r.pattern() == pattern {
			return s.functions[r.function], nil
		}
	}
	return nil, fmt.Errorf("no function answers %s", pattern)
}

func (t *teller) add(ctx context.Context) error {
	var made struct{ ID, AuthorizeURL string }
	if err := t.ask(ctx, http.MethodPost, "/v1/connections", `{"displayName":"Fernhill","cloud":"commercial"}`,
		http.StatusCreated, &made); err != nil {
		return err
	}
	t.id = made.ID
	return t.allow(ctx, made.AuthorizeURL)
}

// allow opens the link as the tenant's administrator and does what the pages ask for.
func (t *teller) allow(ctx context.Context, link string) error {
	if u, err := url.Parse(link); err != nil || u.Host != t.domain {
		return fmt.Errorf("the link %.80q is not at %s", link, t.domain)
	}
	admin := t.company.People()[0]
	fill := map[string]string{"account": admin.UserPrincipalName, "password": admin.Password, "action": "accept"}
	status, page, err := browser.New(t.stage).Walk(ctx, link, fill)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the consent ends with status %d: %.300s", status, page)
	}
	return err
}

// consent waits until the subscription exists: Microsoft lists nothing from before it.
func (t *teller) consent(ctx context.Context) error {
	return t.until(ctx, "the connection to be Monitoring", func() (bool, error) {
		if err := t.tick(ctx); err != nil {
			return false, err
		}
		c, err := t.connection(ctx)
		return c.Status == "Monitoring" && c.Subscribed != nil, err
	})
}

type shownConnection struct {
	Status     string
	Reason     string
	Subscribed *time.Time
	Ledger     struct{ Listed, Settled, Lost, Open int64 }
}

func (t *teller) connection(ctx context.Context) (shownConnection, error) {
	var c shownConnection
	err := t.ask(ctx, http.MethodGet, "/v1/connections/"+t.id, "", http.StatusOK, &c)
	return c, err
}

// outage ends every instance, as Lambda does at times, while the credential cannot be read. Functions that need it do
// not start, and say why; the others go on. When the credential can be read again, everything recovers by itself.
func (t *teller) outage(ctx context.Context) error {
	t.keeper.close(true)
	for _, f := range t.functions {
		f.Retire()
	}
	for _, ticked := range []string{"PollFunction", "CensusFunction"} {
		failed := ticked + " failed: Runtime.ExitError"
		for before := t.record.count(failed); t.record.count(failed) == before; {
			if err := t.tick(ctx); err != nil {
				return err
			}
		}
	}
	var down *unavailable
	if err := t.once(ctx, http.MethodGet, "/consent/style.css", "", http.StatusOK, nil); !errors.As(err, &down) {
		return fmt.Errorf("consent starts without a credential: %w", err)
	}
	if said := t.log.String(); !strings.Contains(said, "read the credential "+secretARN) {
		return errors.New("no function says that it cannot read the credential")
	}
	if err := t.ask(ctx, http.MethodGet, "/v1/connections/"+t.id, "", http.StatusOK, nil); err != nil {
		return err
	}
	t.keeper.close(false)
	return t.ask(ctx, http.MethodGet, "/consent/style.css", "", http.StatusOK, nil)
}

// others calls the routes that the story has not called yet, which shows that each route of the template is needed.
func (t *teller) others(ctx context.Context) error {
	if err := t.ask(ctx, http.MethodGet, "/consent/style.css", "", http.StatusOK, nil); err != nil {
		return err
	}
	for _, path := range []string{"/v1/openapi.json", "/v1/trail"} {
		if err := t.ask(ctx, http.MethodGet, path, "", http.StatusOK, nil); err != nil {
			return err
		}
	}
	var all struct{ Connections []struct{ ID string } }
	if err := t.ask(ctx, http.MethodGet, "/v1/connections", "", http.StatusOK, &all); err != nil {
		return err
	}
	if len(all.Connections) != 1 || all.Connections[0].ID != t.id {
		return fmt.Errorf("the connections are listed as %v", all)
	}
	var linked struct{ AuthorizeURL string }
	if err := t.ask(ctx, http.MethodPost, "/v1/connections/"+t.id+"/link", "", http.StatusCreated, &linked); err != nil {
		return err
	}
	if err := t.deleted(ctx); err != nil {
		return err
	}
	if err := t.scoped(ctx); err != nil {
		return err
	}
	events, err := t.search(ctx)
	if err != nil {
		return err
	}
	one, err := t.matching(ctx, "event.id", events[0].Event.ID)
	if err != nil || len(one) != 1 || one[0].Event.ID != events[0].Event.ID {
		return fmt.Errorf("%d events have the id %s, err %v", len(one), events[0].Event.ID, err)
	}
	for _, turn := range []string{"deauthorize", "resume"} {
		if err := t.ask(ctx, http.MethodPost, "/v1/connections/"+t.id+"/"+turn, "", http.StatusOK, nil); err != nil {
			return err
		}
		events, err := t.search(ctx)
		if hidden := turn == "deauthorize"; err == nil && hidden != (len(events) == 0) {
			err = fmt.Errorf("after %s there are %d events", turn, len(events))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleted adds a connection, renames it and deletes it: the name is free after the next tick.
func (t *teller) deleted(ctx context.Context) error {
	var made struct{ ID string }
	if err := t.ask(ctx, http.MethodPost, "/v1/connections", `{"displayName":"Brindle"}`, http.StatusCreated,
		&made); err != nil {
		return err
	}
	if err := t.ask(ctx, http.MethodPatch, "/v1/connections/"+made.ID, `{"displayName":"Bramble"}`, http.StatusOK,
		nil); err != nil {
		return err
	}
	if err := t.ask(ctx, http.MethodDelete, "/v1/connections/"+made.ID, "", http.StatusAccepted, nil); err != nil {
		return err
	}
	for range 20 { // a tick may be turned away, or fail
		if err := t.tick(ctx); err != nil {
			return err
		}
		var all struct{ Connections []struct{ ID string } }
		if err := t.ask(ctx, http.MethodGet, "/v1/connections", "", http.StatusOK, &all); err != nil {
			return err
		}
		if len(all.Connections) == 1 {
			return nil
		}
	}
	return errors.New("a connection is not deleted by twenty ticks")
}

// honest returns an error if a call was denied, or a secret was logged.
func (s *stage) honest() error {
	if denied := s.policy.denied(s.record.acts); len(denied) > 0 {
		return fmt.Errorf("not allowed by the template: %v", denied)
	}
	for _, word := range []string{secret, "PRIVATE KEY", "eyJ", "Bearer "} {
		if strings.Contains(s.log.String(), word) {
			return fmt.Errorf("the functions' log holds a credential (%.6s…)", word)
		}
	}
	return nil
}
