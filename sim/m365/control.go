package m365sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// lever is one thing that the control door can do.
type lever struct {
	pattern string
	help    string
	pull    func(*Server, *http.Request) (any, error)
}

// Control is the control door: JSON over HTTP, described by GET /. It has no protection whatever and belongs on the
// loopback address alone.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	levers := append(stateLevers(), append(faultLevers(), contentLevers()...)...)
	for _, l := range levers {
		mux.HandleFunc(l.pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 256<<20)
			result, err := l.pull(s, r)
			s.controlAnswer(w, r, result, err)
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		index := map[string]string{}
		for _, l := range levers {
			index[l.pattern] = l.help
		}
		s.controlAnswer(w, r, index, nil)
	})
	return mux
}

func (s *Server) controlAnswer(w http.ResponseWriter, r *http.Request, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status, result = http.StatusBadRequest, map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		s.options().Log.DebugContext(r.Context(), "the control door's client left", "error", err)
	}
}

// order is the body of most levers; each uses the fields that its help names.
type order struct {
	Tenant      string
	App         string
	User        string
	ContentType string
	ContentID   string
	Message     string
	Folder      string
	Name        string
	Roles       []string
	Unit        bool
	Claims      []string
	Groups      string
	On          bool
	Advance     span
}

// span is a duration that JSON writes as Go does: "1m30s".
type span time.Duration

func (d *span) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = span(parsed)
	return err
}

func (d span) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// read takes a JSON body. An unknown field is an error, so that no order is misspelt in silence.
func read[T any](r *http.Request) (T, error) {
	var body T
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil && err != io.EOF {
		return body, fmt.Errorf("read the order: %w", err)
	}
	return body, nil
}

// does makes a lever of a method that only can fail.
func does(do func(*Server, order) error) func(*Server, *http.Request) (any, error) {
	return func(s *Server, r *http.Request) (any, error) {
		o, err := read[order](r)
		if err != nil {
			return nil, err
		}
		return map[string]bool{"done": true}, do(s, o)
	}
}

// stateLevers change permissions, people, mail and time.
func stateLevers() []lever {
	return []lever{
		{
			"POST /grant",
			"{tenant, app}: consent, effective in the next token",
			does(func(s *Server, o order) error { return s.Grant(o.Tenant, o.App) }),
		},
		{
			"POST /consent",
			"{tenant, app}: consent, effective after the role propagation",
			does(func(s *Server, o order) error { return s.Consent(o.Tenant, o.App) }),
		},
		{
			"POST /revoke",
			"{tenant, app}: take the roles, keep the service principal",
			does(func(s *Server, o order) error { return s.Revoke(o.Tenant, o.App) }),
		},
		{
			"POST /principal/delete",
			"{tenant, app}: delete the service principal",
			does(func(s *Server, o order) error { return s.DeletePrincipal(o.Tenant, o.App) }),
		},
		{
			"POST /principal/enabled",
			"{tenant, app, on}: switch the service principal",
			does(func(s *Server, o order) error { return s.DisablePrincipal(o.Tenant, o.App, !o.On) }),
		},
		{
			"POST /tenant/delete",
			"{tenant}: delete the tenant with all that it held",
			does(func(s *Server, o order) error { return s.RemoveTenant(o.Tenant) }),
		},
		{
			"POST /audit",
			"{tenant, on}: switch the unified audit log",
			does(func(s *Server, o order) error { return s.AuditOff(o.Tenant, !o.On) }),
		},
		{
			"POST /subscription",
			"{tenant, contentType, on}: the tenant's administrator enables or disables it",
			does(func(s *Server, o order) error { return s.DisableSubscription(o.Tenant, o.ContentType, !o.On) }),
		},
		{
			"POST /subscription/stuck",
			"{tenant, contentType, on}: content answers AF20023 whatever the app does, or no more",
			does(func(s *Server, o order) error { return s.StickSubscription(o.Tenant, o.ContentType, o.On) }),
		},
		{
			"POST /mailbox",
			"{tenant, user, on}: let apps into the mailbox, or keep them out by policy",
			does(func(s *Server, o order) error { return s.BlockMailbox(o.Tenant, o.User, !o.On) }),
		},
		{
			"POST /message/move",
			"{tenant, user, message, folder}: move the message with this immutable id",
			does(func(s *Server, o order) error { return s.MoveMessage(o.Tenant, o.User, o.Message, o.Folder) }),
		},
		{
			"POST /message/delete",
			"{tenant, user, message}: delete the copies with this internet message id for good, into Recoverable Items",
			does(func(s *Server, o order) error { return s.DeleteForGood(o.Tenant, o.User, o.Message) }),
		},
		{
			"POST /message/purge",
			"{tenant, user, message}: remove the copies with this internet message id from everywhere",
			does(func(s *Server, o order) error { return s.DeleteMessages(o.Tenant, o.User, o.Message) }),
		},
		{
			"POST /message/rewrite",
			"{tenant, user, message, name}: give the copies with this internet message id another one",
			does(func(s *Server, o order) error { return s.RewriteMessageID(o.Tenant, o.User, o.Message, o.Name) }),
		},
		{
			"POST /person/rename",
			"{tenant, user, name}: give the person another user principal name",
			does(func(s *Server, o order) error { return s.RenamePerson(o.Tenant, o.User, o.Name) }),
		},
		{
			"POST /person/remove",
			"{tenant, user}: delete the person with this object id",
			does(func(s *Server, o order) error { return s.RemovePeople(o.Tenant, o.User) }),
		},
		{
			"POST /person/restore",
			"{tenant, user}: bring back the person with this object id",
			does(func(s *Server, o order) error { return s.RestorePerson(o.Tenant, o.User) }),
		},
		{
			"POST /person/roles",
			"{tenant, user, roles, unit}: the person's directory roles, by template id; unit for those within an " +
				"administrative unit",
			does(func(s *Server, o order) error { return s.SetRoles(o.Tenant, o.User, o.Unit, o.Roles...) }),
		},
		{
			"POST /app/claims",
			"{app, groups, claims}: groupMembershipClaims and the optional claims of the registration",
			does(func(s *Server, o order) error { return s.SetClaims(o.App, o.Groups, o.Claims...) }),
		},
		{
			"POST /expire/secrets",
			"{app}: every client secret of the app expires",
			does(func(s *Server, o order) error { return s.ExpireSecrets(o.App) }),
		},
		{
			"POST /expire/blob",
			"{tenant, contentId}: the blob expires",
			does(func(s *Server, o order) error { return s.ExpireBlob(o.Tenant, o.ContentID) }),
		},
		{"POST /expire/tokens", "{tenant}: every access token becomes invalid; all tenants without one", expireTokens},
		{"POST /clock", "{advance: \"1h\"}: move the simulated clock on", moveClock},
		{"POST /options", "{startSpacing: \"15m\", ...}: turn knobs; durations are text", turnKnobs},
		{
			"GET /options",
			"the knobs as they stand",
			func(s *Server, _ *http.Request) (any, error) { return showKnobs(s), nil },
		},
		{"GET /clock", "the simulated time", func(s *Server, _ *http.Request) (any, error) { return s.Now(), nil }},
	}
}

func expireTokens(s *Server, r *http.Request) (any, error) {
	o, err := read[order](r)
	if err != nil {
		return nil, err
	}
	return map[string]int{"expired": s.ExpireTokens(o.Tenant)}, nil
}

func moveClock(s *Server, r *http.Request) (any, error) {
	o, err := read[order](r)
	if err != nil {
		return nil, err
	}
	if o.Advance < 0 {
		return nil, fmt.Errorf("the clock does not go back: advance is %s", time.Duration(o.Advance))
	}
	s.Advance(time.Duration(o.Advance))
	return s.Now(), nil
}

// faultLevers break things and show what happened.
func faultLevers() []lever {
	return []lever{
		{
			"POST /faults",
			"{tenant, op, path, mailbox, byName, times, rate, share, for, delay, status, code, codes, message, " +
				"retryAfter, tornAt, silent, hang, reset, location, page}: break matching requests; durations are " +
				"text such as 2s",
			addFault,
		},
		{
			"GET /faults",
			"the active faults",
			func(s *Server, _ *http.Request) (any, error) { return wireFaults(s.Faults()), nil },
		},
		{"DELETE /faults", "end all faults", func(s *Server, _ *http.Request) (any, error) {
			s.ClearFaults()
			return map[string]bool{"done": true}, nil
		}},
		{"DELETE /faults/{id}", "end one fault", func(s *Server, r *http.Request) (any, error) {
			s.ClearFaults(r.PathValue("id"))
			return map[string]bool{"done": true}, nil
		}},
		{"GET /history", "?tenant=&op=&path=&status=&since=: requests of the protocol door, oldest first", showHistory},
		{"DELETE /history", "forget the requests", func(s *Server, _ *http.Request) (any, error) {
			s.ResetHistory()
			return map[string]bool{"done": true}, nil
		}},
	}
}

// wireFault is a Fault with its durations as text.
type wireFault struct {
	ID         string    `json:"id"`
	Tenant     string    `json:"tenant,omitzero"`
	Op         string    `json:"op,omitzero"`
	Path       string    `json:"path,omitzero"`
	Mailbox    string    `json:"mailbox,omitzero"`
	ByName     bool      `json:"byName,omitzero"`
	Times      int       `json:"times,omitzero"`
	Rate       float64   `json:"rate,omitzero"`
	Share      float64   `json:"share,omitzero"`
	For        span      `json:"for,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Delay      span      `json:"delay,omitzero"`
	Status     int       `json:"status,omitzero"`
	Code       string    `json:"code,omitzero"`
	Codes      []string  `json:"codes,omitzero"`
	Message    string    `json:"message,omitzero"`
	RetryAfter span      `json:"retryAfter,omitzero"`
	TornAt     int64     `json:"tornAt,omitzero"`
	Silent     bool      `json:"silent,omitzero"`
	Hang       bool      `json:"hang,omitzero"`
	Reset      bool      `json:"reset,omitzero"`
	Location   string    `json:"location,omitzero"`
	Page       bool      `json:"page,omitzero"`
}

func addFault(s *Server, r *http.Request) (any, error) {
	w, err := read[wireFault](r)
	if err != nil {
		return nil, err
	}
	id := s.Fault(Fault{
		Tenant: w.Tenant, Op: w.Op, Path: w.Path, Mailbox: w.Mailbox, ByName: w.ByName,
		Times: w.Times, Rate: w.Rate, Share: w.Share, For: time.Duration(w.For), Until: w.Until,
		Delay:  time.Duration(w.Delay),
		Status: w.Status, Code: w.Code, Codes: w.Codes, Message: w.Message, RetryAfter: time.Duration(w.RetryAfter),
		TornAt: w.TornAt, Silent: w.Silent, Hang: w.Hang, Reset: w.Reset, Location: w.Location, Page: w.Page,
	})
	return map[string]string{"id": id}, nil
}

func wireFaults(faults []Fault) []wireFault {
	wire := make([]wireFault, 0, len(faults))
	for _, f := range faults {
		wire = append(wire, wireFault{
			ID: f.ID, Tenant: f.Tenant, Op: f.Op, Path: f.Path, Mailbox: f.Mailbox, ByName: f.ByName,
			Times: f.Times, Rate: f.Rate, Share: f.Share, For: span(f.For), Until: f.Until, Delay: span(f.Delay),
			Status: f.Status, Code: f.Code, Codes: f.Codes, Message: f.Message, RetryAfter: span(f.RetryAfter),
			TornAt: f.TornAt, Silent: f.Silent, Hang: f.Hang, Reset: f.Reset, Location: f.Location, Page: f.Page,
		})
	}
	return wire
}

func showHistory(s *Server, r *http.Request) (any, error) {
	q := r.URL.Query()
	f := Filter{Tenant: q.Get("tenant"), Op: q.Get("op"), Path: q.Get("path")}
	var err error
	if text := q.Get("status"); text != "" {
		if f.Status, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("read status: %w", err)
		}
	}
	if text := q.Get("since"); text != "" {
		if f.Since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, fmt.Errorf("read since: %w", err)
		}
	}
	return append([]Request{}, s.History(f)...), nil
}

// contentLevers put things into the world and show what is in it.
func contentLevers() []lever {
	return []lever{
		{
			"POST /publish",
			"{tenant, contentType, created, visible, expires, records: [...] or body: base64}: list a blob; " +
				"created is now when absent",
			publish,
		},
		{
			"GET /tenants",
			"the tenants and their consents, subscriptions and counts",
			func(s *Server, _ *http.Request) (any, error) { return s.State(), nil },
		},
		{
			"GET /truth",
			"?tenant=&from=&to=&hashes=: what was really sent, the last hour unless from and to (RFC 3339) say " +
				"otherwise; hashes=true reads every file",
			showTruth,
		},
		{
			"GET /blobs",
			"?tenant=: every blob of the tenant in the order of its listing",
			func(s *Server, r *http.Request) (any, error) { return s.Blobs(r.URL.Query().Get("tenant")) },
		},
	}
}

func publish(s *Server, r *http.Request) (any, error) {
	o, err := read[struct {
		Tenant, ContentType       string
		Created, Visible, Expires time.Time
		Records                   []json.RawMessage
		Body                      []byte
	}](r)
	if err != nil {
		return nil, err
	}
	if o.Created.IsZero() {
		o.Created = s.Now()
	}
	if o.Body == nil {
		records := make([]world.Record, 0, len(o.Records))
		for _, raw := range o.Records {
			records = append(records, world.Record{JSON: raw})
		}
		o.Body = joinRecords(records)
	}
	id, err := s.PublishBlob(Publication{
		Tenant: o.Tenant, ContentType: o.ContentType, Created: o.Created, Visible: o.Visible, Expires: o.Expires,
		Body: o.Body,
	})
	return map[string]string{"contentId": id}, err
}
