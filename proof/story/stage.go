package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

const (
	clientID  = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	publisher = "0b8f6a52-9f57-4c35-8f0f-2a4d9c1e7b31"
	secret    = "the-secret-of-the-application"
	secretARN = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:mailtrail-AbCdEf"
	domain    = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
)

// plan is what one stage is built from.
type plan struct {
	stack      string // a name of its own
	template   *template
	parameters values // beside those that every stage has
	binaries   string // folder of the built functions
	cloud      cloud
	engines    map[string]string // addresses by service, without Secrets Manager
	credential issued            // that the application begins with
	weather    weather
	seed       uint64
	domain     string // that browsers and clients reach the API by
}

// stage is the deployed template: its tables and queues in the engines, its functions under lambdasim, and a
// simulated Microsoft 365.
type stage struct {
	plan
	known     values
	policy    policy
	record    *record
	sim       *m365sim.Server
	doors     *m365sim.Doors
	functions map[string]*function
	front     string // the address behind which the HTTP API is
	keeper    *keeper
	reaper    reaper
	log       logs
	owners    sync.WaitGroup

	ticks  int            // that the schedules had
	missed map[string]int // of them, by the queue of dead letters that has them
}

// function is one function of the template that runs.
type function struct {
	*lambdasim.Running
	id, role string
	spec     lambdasim.Function
}

// logs collects what all functions write. It is safe for concurrent use.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// raise deploys a plan. The stage ends with ctx, and strike waits for that; it must be struck after an error too.
func raise(ctx context.Context, p plan) (*stage, error) {
	s := &stage{plan: p, record: newRecord(), functions: map[string]*function{}, missed: map[string]int{}}
	given := values{"ClientId": clientID, "CredentialArn": secretARN, "Publisher": publisher, "EnrichMinutes": "1"}
	for name, value := range p.parameters {
		given[name] = value
	}
	var err error
	if s.known, err = p.template.parameters(given); err != nil {
		return s, err
	}
	if s.policy, err = readPolicy(p.template); err != nil {
		return s, err
	}
	if err := p.cloud.deploy(ctx, p.template, p.stack, s.known); err != nil {
		return s, err
	}
	if err := s.microsoft(ctx); err != nil {
		return s, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return s, fmt.Errorf("listen as Secrets Manager: %w", err)
	}
	s.keeper = &keeper{arn: secretARN, value: p.credential.kept}
	hold(ctx, &s.owners, l, s.keeper)
	engines := map[string]string{"secretsmanager": "http://" + l.Addr().String()}
	for service, address := range p.engines {
		engines[service] = address
	}
	s.reaper.left = slices.Clone(p.weather.endings)
	for _, id := range p.template.named(typeFunction) {
		if err := s.start(ctx, id, engines); err != nil {
			return s, err
		}
	}
	return s, s.open(ctx)
}

// microsoft starts a hostile Microsoft 365 that knows our application.
func (s *stage) microsoft(ctx context.Context) error {
	opts := m365sim.Hostile(s.seed)
	opts.RolePropagation, opts.LateBy, opts.TokenLife = 300*time.Millisecond, time.Second, 2*time.Second
	s.sim = m365sim.New(opts)
	s.register(s.credential)
	var err error
	if s.doors, err = s.sim.Start(ctx, "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("start the simulated Microsoft 365: %w", err)
	}
	return nil
}

func (s *stage) start(ctx context.Context, id string, engines map[string]string) error {
	properties := s.template.Resources[id].Properties
	f := &function{id: id, role: strings.TrimSuffix(reference(properties["Role"]), ".Arn")}
	w := s.weather
	p := &proxy{
		role: f.role, policy: s.policy, record: s.record, resources: engineNames(s.template, s.known), engines: engines,
		weather: w, dice: rand.New(rand.NewPCG(s.seed, uint64(len(s.functions)))),
	}
	p.wrote = func() { s.reaper.wrote(f, s.record) }
	if err := p.serve(ctx, &s.owners); err != nil {
		return err
	}
	env, err := environment(s.template, id, s.known)
	if err != nil {
		return err
	}
	for _, service := range []string{"DYNAMODB", "SQS", "SECRETS_MANAGER"} {
		env["AWS_ENDPOINT_URL_"+service] = p.url
	}
	env["MAILTRAIL_ENDPOINTS"] = fmt.Sprintf(`{"commercial":{"login":%q,"activity":%q,"graph":%q}}`,
		s.doors.Login, s.doors.Manage, s.doors.Graph)
	folder, err := source(s.template, id)
	if err != nil {
		return fmt.Errorf("function %s: %w", id, err)
	}
	timeout, err := strconv.Atoi(s.known.orDefault(properties["Timeout"], "29"))
	if err != nil {
		return fmt.Errorf("function %s: Timeout: %w", id, err)
	}
	f.spec = lambdasim.Function{
		Binary: filepath.Join(s.binaries, filepath.Base(folder)), Env: env,
		Timeout:     s.weather.shorter(time.Duration(timeout) * time.Second),
		Concurrency: 4, Log: &s.log,
	}
	if f.Running, err = lambdasim.Start(ctx, f.spec); err != nil {
		return fmt.Errorf("function %s: %w", id, err)
	}
	s.functions[id] = f
	// Lambda itself logs each start and each invocation, with the function's role.
	group := reference(at(properties, "LoggingConfig", "LogGroup"))
	s.record.act(act{f.role, "logs:CreateLogStream", group})
	s.record.act(act{f.role, "logs:PutLogEvents", group})
	return nil
}

func (known values) orDefault(v any, other string) string {
	text, err := known.resolve(v)
	if err != nil {
		return other
	}
	return cmp.Or(text, other)
}

// open opens the HTTP API: the routes of the template, and no other.
func (s *stage) open(ctx context.Context) error {
	routes, err := s.template.routes()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, r := range routes {
		gateway := &lambdasim.Gateway{
			Domain: s.domain, Route: func(*http.Request) *lambdasim.Running { return s.functions[r.function].Running },
			Failed: func(req *http.Request, err error) {
				s.record.suffer(r.function + " failed: " + kind(err))
				fmt.Fprintf(&s.log, "%s %s: %v\n", req.Method, req.URL.Path, err)
			},
		}
		// API Gateway does not answer HEAD for a GET route, and matches a name in braces to one segment, as the mux does.
		mux.Handle(r.pattern(), gateway)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen as API Gateway: %w", err)
	}
	s.front = l.Addr().String()
	hold(ctx, &s.owners, l, mux)
	return nil
}

// RoundTrip sends requests for the HTTP API's domain to it, and all others on.
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != s.domain {
		return http.DefaultTransport.RoundTrip(r)
	}
	there := r.Clone(r.Context())
	there.URL.Scheme, there.URL.Host = "http", s.front
	resp, err := http.DefaultTransport.RoundTrip(there)
	if err == nil {
		resp.Request = r // links in pages are relative to their address
	}
	return resp, err
}

// strike ends the stage; the context that it was raised with must end first.
func (s *stage) strike(ctx context.Context) error {
	for _, f := range s.functions {
		f.Close()
	}
	s.owners.Wait()
	var closed error
	if s.doors != nil {
		closed = s.doors.Close()
	}
	return errors.Join(closed, s.cloud.destroy(ctx, s.template, s.known))
}
