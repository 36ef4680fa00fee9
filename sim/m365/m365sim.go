// Package m365sim is a strict simulated Microsoft 365: the login service, the Office 365 Management Activity API and
// the part of Microsoft Graph that covers people, sent mail and attachments. It keeps its state in memory and has
// two doors: the protocol door, which speaks as Microsoft does, and the control door, which breaks things on purpose.
//
// One port serves its roots by path: /login, /manage, /graph and /files. It shares no code with any client,
// so that the two cannot agree on a mistake. Where it differs from Microsoft is written in docs/m365.md.
package m365sim

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Server is the state of the simulated Microsoft 365. Its methods may be called from any goroutine.
type Server struct {
	knobs   atomic.Pointer[Options]
	turning sync.Mutex   // held while knobs change
	offset  atomic.Int64 // nanoseconds that Advance added to the clock
	counter atomic.Uint64
	key     func() signingKey
	dice    dice
	faults  faults
	history history

	mu      sync.RWMutex
	tenants map[string]*tenant // by lower-case GUID
	domains map[string]*tenant // by lower-case domain
	apps    map[string]*app    // by client id

	codes    shelf[signInCode]
	sessions shelf[session]
	tokens   shelf[accessToken]
	jtis     shelf[struct{}]
}

// New makes an empty Microsoft 365: no tenant and no app is known.
func New(opts Options) *Server {
	opts = opts.filled()
	s := &Server{
		key:     sync.OnceValue(func() signingKey { return newSigningKey(opts.Key) }),
		dice:    dice{seed: opts.Seed, counts: map[string]uint64{}},
		history: history{ring: make([]Request, opts.HistorySize)},
		tenants: map[string]*tenant{},
		domains: map[string]*tenant{},
		apps:    map[string]*app{},
	}
	s.knobs.Store(&opts)
	return s
}

// Now is the simulated time: the clock of the options plus what Advance added.
func (s *Server) Now() time.Time {
	return s.options().Now().UTC().Add(time.Duration(s.offset.Load()))
}

// Advance moves the simulated clock forward by d.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

// AddTenant makes a tenant with its people. A tenant that exists already is replaced, with all that it held.
func (s *Server) AddTenant(t world.Tenant, people []world.Person) {
	made := newTenant(t)
	made.directory.add(people)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants[strings.ToLower(t.ID)] = made
	for _, domain := range append([]string{t.DefaultDomain}, t.Domains...) {
		s.domains[strings.ToLower(domain)] = made
	}
}

// tenant finds a tenant by GUID or by one of its domains, and nil when there is none.
func (s *Server) tenant(name string) *tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.tenants[name]; t != nil {
		return t
	}
	name = strings.ToLower(name)
	if t := s.tenants[name]; t != nil {
		return t
	}
	return s.domains[name]
}

// known is tenant with an error, for the Go methods.
func (s *Server) known(name string) (*tenant, error) {
	if t := s.tenant(name); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("tenant %q is not in the simulation", name)
}

// Handler is the protocol door: every route of the login service, the activity API and Graph.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, s.serve(r, mux))
	}
	for _, root := range []root{login, manage, graph, files} {
		stray := route{pattern: "/" + string(root) + "/", op: string(root) + ".stray", root: root, answer: strayPath}
		mux.HandleFunc(stray.pattern, s.serve(stray, mux))
	}
	return mux
}

// root is one of the three services that share the port.
type root string

const (
	login  root = "login"
	manage root = "manage"
	graph  root = "graph"
	files  root = "files"
)

// route is one operation of the protocol door. A route with no method takes any.
type route struct {
	method  string
	pattern string
	op      string
	root    root
	answer  func(*call)
}

func (s *Server) routes() []route {
	const feed = "/manage/api/v1.0/{tenant}/activity/feed/"
	const mailbox = "/graph/v1.0/users/{user}/"
	return []route{
		{"GET", "/login/{tenant}/v2.0/.well-known/openid-configuration", "login.discovery", login, discovery},
		{"GET", "/login/{tenant}/discovery/v2.0/keys", "login.keys", login, keys},
		{"GET", "/login/{tenant}/oauth2/v2.0/authorize", "login.authorize", login, authorize},
		{"POST", "/login/{tenant}/login", "login.signin", login, signIn},
		{"POST", "/login/{tenant}/oauth2/v2.0/token", "login.token", login, token},
		{"GET", "/login/{tenant}/v2.0/adminconsent", "login.adminconsent", login, adminConsent},
		{"GET", "/login/{tenant}/adminconsent", "login.adminconsent", login, adminConsent},
		{"POST", "/login/{tenant}/consent", "login.consent", login, decideConsent},

		{"POST", feed + "subscriptions/start", "feed.start", manage, startSubscription},
		{"POST", feed + "subscriptions/stop", "feed.stop", manage, stopSubscription},
		{"GET", feed + "subscriptions/list", "feed.list", manage, listSubscriptions},
		{"GET", feed + "subscriptions/content", "feed.content", manage, listContent},
		{"GET", feed + "audit/{content}", "feed.blob", manage, getBlob},

		{"GET", "/graph/v1.0/organization", "graph.organization", graph, organization},
		{"GET", "/graph/v1.0/users", "graph.users", graph, listUsers},
		{"GET", "/graph/v1.0/users/delta", "graph.delta", graph, usersDelta},
		{"GET", "/graph/v1.0/users/{user}", "graph.user", graph, getUser},
		{"GET", "/graph/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user", "graph.members", graph,
			transitiveUsers},
		{"GET", mailbox + "messages", "graph.messages", graph, listMessages},
		{"GET", mailbox + "mailFolders/{folder}/messages", "graph.messages", graph, listMessages},
		{"GET", mailbox + "messages/{message}", "graph.message", graph, getMessage},
		{"GET", mailbox + "messages/{message}/attachments", "graph.attachments", graph, listAttachments},
		{"GET", mailbox + "messages/{message}/attachments/{attachment}", "graph.attachment", graph, getAttachment},
		{"GET", mailbox + "messages/{message}/attachments/{attachment}/$value", "graph.value", graph, attachmentValue},
		{"GET", "/graph/beta/users/{user}/messages/{message}/attachments/{attachment}", "graph.beta", graph,
			betaAttachment},
		{"GET", "/graph/v1.0/shares/{share}/driveItem", "graph.shares", graph, sharedItem},
		{"GET", "/graph/v1.0/drives/{drive}/items/{item}/content", "graph.content", graph, itemContent},
		{"GET", "/files/download.aspx", "files.download", files, download},
		{"POST", "/graph/v1.0/$batch", "graph.batch", graph, batch},
	}
}

func strayPath(c *call) {
	c.fail(http.StatusNotFound, "UnknownPath", "No such path in the simulation: "+c.r.URL.Path)
}
