package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// site is a data folder with an imported audit log, on which Mailtrail runs or not.
type site struct {
	t    *testing.T
	env  string
	data string
	out  *output // of the last start
	errs *output
	stop func()
}

// output is what a start prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, data: filepath.Join(dir, "data")}
	file := filepath.Join(dir, "export.ndjson")
	export(t, file, 10)
	s.env = "ADDR=127.0.0.1:0 DATA=" + s.data + " RECORDS=" + file
	return s
}

// start runs `mailtrail serve`, and returns its summary when it is ready.
func (s *site) start() summary {
	s.t.Helper()
	return s.startOn(program{environ: strings.Fields(s.env)})
}

func (s *site) startOn(p program) summary {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	s.out, s.errs = &output{}, &output{}
	p.out, p.errs = s.out, s.errs
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(s.out.String(), "Ctrl-C"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("no summary within two minutes; the log:\n%s", s.errs)
		}
	}
	return running(s.t, filepath.Join(s.data, runFile))
}

// does runs a command that must end with a code, and returns all that it prints.
func (s *site) does(want int, args ...string) string {
	s.t.Helper()
	code, out, errs := mailtrail(s.t, s.env, args...)
	if code != want {
		s.t.Fatalf("mailtrail %s ends with %d, want %d:\n%s%s", strings.Join(args, " "), code, want, out, errs)
	}
	return out + errs
}

// says fails unless a command's text has all parts.
func (s *site) says(text string, parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.t.Errorf("it says %q, want %q", text, part)
		}
	}
}

// twice runs a test on a folder on which Mailtrail runs, and on one on which it has run.
func twice(t *testing.T, test func(t *testing.T, s *site)) {
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start()
			if state == "stopped" {
				s.stop()
			}
			test(t, s)
		})
	}
}

func TestClientsAreAddedListedAndRemoved(t *testing.T) {
	twice(t, func(t *testing.T, s *site) {
		added := s.does(0, "client", "add", "siem")
		s.says(added, `Added API client "siem": analyst, for all connections.`, "Secret  ")
		id := regexp.MustCompile(`key-\w+`).FindString(added)
		s.says(s.does(0, "client", "add", "both", "--role", "admin", "--role", "analyst"), `"both": admin, analyst`)
		s.says(s.does(0, "client", "add", "one", "--connection", "EXPORT.ndjson"), "(export.ndjson)")
		s.says(s.does(1, "client", "add", "none", "--connection", "Contoso"), `there is no connection "Contoso"`)
		s.says(s.does(1, "client", "add", " "), "The name must have 1 to 100 characters")
		s.says(s.does(2, "client", "add", "x", "--role", "root"), `role "root"`)
		s.says(s.does(0, "client", "list"), "CLIENT ", id+"  siem ", "first client ", "admin, analyst ", "(export.ndjson) ")
		s.says(s.does(0, "client", "remove", id), "Removed API client "+id+` ("siem")`)
		s.says(s.does(1, "client", "remove", id), "There is no such client.")

		// The last one too: these commands need none.
		for _, id := range regexp.MustCompile(`key-\w+`).FindAllString(s.does(0, "client", "list"), -1) {
			s.does(0, "client", "remove", id)
		}
		s.says(s.does(0, "client", "list"), "There are no API clients.")
		s.says(s.does(0, "client", "add", "again", "--role", "admin"), "Secret  ")
	})
}

// TestARemovedClientIsRefusedAtOnce removes the first client while its token is in use. No start makes it again.
func TestARemovedClientIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	told := s.start()
	token := login(t, told)
	status := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, told.API+"/v1/connections", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if got := status(); got != http.StatusOK {
		t.Fatalf("before it is removed: %d", got)
	}
	s.says(
		s.does(0, "client", "remove", told.ClientID),
		"Its secret and its tokens are refused",
		"Its secret was taken out of",
	)
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("after it was removed: %d, want 401", got)
	}
	s.stop()
	if again := s.start(); again.ClientID != told.ClientID || again.ClientSecret != "" {
		t.Errorf("the next start names client %s with the secret %q", again.ClientID, again.ClientSecret)
	}
	s.says(s.out.String(), "the first one was removed", "client add")
	if strings.Contains(s.out.String(), "curl") {
		t.Errorf("it prints a command that cannot work:\n%s", s.out)
	}
}

// TestTheFirstSecretIsPrintedOnce, and the command to paste has it from its file.
func TestTheFirstSecretIsPrintedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	told := s.start()
	s.says(s.out.String(), told.ClientSecret, "cat '"+filepath.Join(s.data, clientFile)+"'")
	s.stop()
	if again := s.start(); again.ClientID != told.ClientID || again.ClientSecret != told.ClientSecret {
		t.Errorf("the second start has another client: %s, %s", told.ClientID, again.ClientID)
	}
	s.says(s.out.String(), told.ClientID, "cat '"+filepath.Join(s.data, clientFile)+"'")
	if strings.Contains(s.out.String(), told.ClientSecret) {
		t.Errorf("the second start prints the secret:\n%s", s.out)
	}
	for _, name := range []string{clientFile, runFile} {
		if info, err := os.Stat(filepath.Join(s.data, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestASecretNeverGoesToAJournal: Mailtrail that talks to Microsoft prints it to a terminal only.
func TestASecretNeverGoesToAJournal(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		s := &site{t: t, data: filepath.Join(t.TempDir(), "data")}
		s.env = ours + " MAILTRAIL_CLIENT_SECRET=s ADDR=127.0.0.1:0 DATA=" + s.data
		told := s.startOn(program{environ: strings.Fields(s.env), outTerminal: terminal, errsTerminal: true})
		if printed := strings.Contains(s.out.String(), told.ClientSecret); printed != terminal || told.ClientSecret == "" {
			t.Errorf("terminal %t: it prints\n%s", terminal, s.out)
		}
		s.stop()
	}
}

// TestASummaryOfAnOlderVersionIsTakenOver: it kept the first client in run.json alone.
func TestASummaryOfAnOlderVersionIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	told := s.start()
	s.stop()
	if err := os.Remove(filepath.Join(s.data, clientFile)); err != nil {
		t.Fatal(err)
	}
	if again := s.start(); again.ClientID != told.ClientID || again.ClientSecret != told.ClientSecret {
		t.Errorf("the first client is %s now, and was %s", again.ClientID, told.ClientID)
	}
}

// TestWhoIsHealthyHasASummary asks for the health of a start without a pause.
func TestWhoIsHealthyHasASummary(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port, for nobody knows the start's own before it is ready
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.env = strings.Replace(s.env, "ADDR=127.0.0.1:0", "ADDR="+addr, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string, 1)
	go func() {
		for ctx.Err() == nil {
			resp, err := http.Get("http://" + addr + "/healthz")
			if err != nil {
				continue
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				_, err := os.Stat(filepath.Join(s.data, runFile))
				if err != nil {
					seen <- err.Error()
				}
				break
			}
		}
		close(seen)
	}()
	s.start()
	if problem := <-seen; problem != "" {
		t.Errorf("healthy without a summary: %s", problem)
	}
}

// TestOnATerminalTheLogIsInItsFileAlone, unless it is asked for.
func TestOnATerminalTheLogIsInItsFileAlone(t *testing.T) {
	t.Parallel()
	for _, log := range []bool{false, true} {
		s := newSite(t)
		s.startOn(program{environ: strings.Fields(s.env), outTerminal: true, errsTerminal: true, log: log})
		s.stop()
		text, err := os.ReadFile(filepath.Join(s.data, logName))
		if err != nil || !strings.Contains(string(text), "msg=polled") {
			t.Errorf("the log file: %v\n%s", err, text)
		}
		if printed := strings.Contains(s.errs.String(), "msg=polled"); printed != log {
			t.Errorf("with --log %t, stderr has:\n%s", log, s.errs)
		}
		s.says(s.out.String(), "Mailtrail "+release+" starts.", "consents", "audit log")
		// Ports and folders may have these digits in theirs: only whole words count.
		if odd := regexp.MustCompile(`\b(failed|401|503|level=\w+)\b`).FindString(s.out.String()); odd != "" {
			t.Errorf("it prints %q:\n%s", odd, s.out)
		}
	}
}

// bury makes dead letters in a folder on which nothing runs.
func bury(t *testing.T, data string, n int) {
	t.Helper()
	store, err := embedded.Open(filepath.Join(data, "store"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := store.Queue("blobs", embedded.QueueOptions{MaxReceives: 1})
	for range n {
		err = errorsOf(err, q.Send(t.Context(), queue.Message{Group: "acme", Body: []byte("no blob")}))
	}
	ds, failed := q.Receive(t.Context(), n, 0, time.Minute)
	for err = errorsOf(err, failed); len(ds) > 0; ds = ds[1:] {
		err = errorsOf(err, q.Hide(t.Context(), ds[0], 0))
	}
	depth, failed := q.Depth(t.Context())
	if err = errorsOf(err, failed, store.Close()); err != nil || depth.Dead != n {
		t.Fatal(depth, err)
	}
}

func errorsOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestDeadLettersAreListedRetriedAndDropped(t *testing.T) {
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			bury(t, s.data, 4)
			if state == "running" {
				s.start()
			}
			list := s.does(0, "dead", "list")
			s.says(list, "LETTER ", "acme ", `"no blob"`)
			ids := regexp.MustCompile(`blobs-\w+`).FindAllString(list, -1)
			if len(ids) != 4 {
				t.Fatalf("%d letters in %q", len(ids), list)
			}
			s.says(s.does(0, "dead", "list", "--queue", "messages"), "There are no dead letters.")
			s.says(s.does(1, "dead", "list", "--queue", "x"), "The queue must be one of blobs, messages.")
			s.says(s.does(0, "dead", "drop", ids[0]), "Dropped "+ids[0])
			s.says(s.does(1, "dead", "drop", ids[0], ids[1]), "Dropped "+ids[1], ids[0]+": There is no such dead letter.")
			s.says(s.does(0, "dead", "retry", ids[2]), "Put back "+ids[2])
			s.says(s.does(0, "dead", "retry", "--all"), "Put back ")
			s.says(s.does(2, "dead", "retry"), "--all")
			s.says(s.does(2, "dead", "retry", ids[0], "--all"), "not both")
			s.says(s.does(2, "dead", "drop"), "name the letters")
			if state == "stopped" {
				s.says(s.does(0, "dead", "list"), "There are no dead letters.")
				s.says(s.does(0, "dead", "retry", "--all"), "There are no dead letters to retry.")
			}
		})
	}
}

func TestALedgerIsVerified(t *testing.T) {
	twice(t, func(t *testing.T, s *site) {
		said := s.does(0, "verify")
		s.says(said, "export.ndjson (", " settled + 0 open + 0 lost; 10 events.\n  It adds up.\n")
		s.stop()
		store, err := embedded.Open(filepath.Join(s.data, "store"), embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		blobs := store.Table("blobs")
		id := regexp.MustCompile(`\((\w+)\):`).FindStringSubmatch(said)[1]
		for item, err := range blobs.Query(t.Context(), table.Query{Partition: id + "|blob", Limit: 1}) {
			if err == nil {
				item.Revision = 0
				err = blobs.Commit(t.Context(), table.Op{Verb: table.Delete, Item: item})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		s.says(s.does(1, "verify"), `WRONG: the sum "listed" is`, "the ledger contradicts itself: ")
	})
}

// TestCommandsSayWhyTheyCannotReachAFolder: there is none, or somebody has it open and does not answer.
func TestCommandsSayWhyTheyCannotReachAFolder(t *testing.T) {
	s := newSite(t)
	commands := [][]string{{"client", "list"}, {"dead", "list"}, {"verify"}, {"backup", filepath.Join(t.TempDir(), "b")}}
	for _, command := range commands {
		s.says(s.does(1, command...), "there is no data in folder "+s.data)
	}
	if _, err := os.Stat(s.data); err == nil {
		t.Error("a command made the folder")
	}
	store, err := embedded.Open(filepath.Join(s.data, "store"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		s.says(s.does(1, command...), "folder "+s.data+" is in use, and Mailtrail does not answer there")
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTheFlagGoesBeforeTheVariable names another folder than DATA does.
func TestTheFlagGoesBeforeTheVariable(t *testing.T) {
	s := newSite(t)
	other := filepath.Join(t.TempDir(), "other")
	s.says(s.does(1, "--data", other, "verify"), "there is no data in folder "+other)
	s.says(s.does(1, "verify", "--data", other), "there is no data in folder "+other)
}

func TestWhatIsMissingIsLookedForAgain(t *testing.T) {
	twice(t, func(t *testing.T, s *site) {
		s.says(s.does(0, "enrich", "EXPORT.ndjson", "--reason", "no_mailbox,MAILBOX_DENIED", "--from", "2026-11-01"),
			"what is missing of export.ndjson is looked for")
		s.says(s.does(1, "enrich", "Contoso"), `there is no connection "Contoso"`)
		s.says(s.does(1, "enrich", "export.ndjson", "--reason", "TOO_LARGE"), "The reason must be one of")
		s.says(s.does(1, "enrich", "export.ndjson", "--from", "2026-11-02", "--to", "2026-11-01"), "must be after from")
		s.says(s.does(2, "enrich", "export.ndjson", "--to", "yesterday"), "give a day")
		s.says(s.does(2, "enrich"), "enrich")
	})
}
