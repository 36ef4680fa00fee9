package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// childEnv makes the test binary be mailtrail itself.
const childEnv = "TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	p := program{environ: os.Environ(), out: os.Stdout, errs: os.Stderr}
	os.Exit(p.execute(context.Background(), os.Args[1:]))
}

// child is Mailtrail in a process of its own.
type child struct {
	cmd *exec.Cmd
	log *bufio.Scanner
}

func startChild(t *testing.T, data, records string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "serve")
	cmd.Env = append(os.Environ(), childEnv+"=1", "ADDR=127.0.0.1:0", "DATA="+data, "RECORDS="+records)
	cmd.Stdout = io.Discard
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &child{cmd: cmd, log: bufio.NewScanner(errs)}
}

// until reads the child's log until a line has the text, and reports whether one did.
func (c *child) until(text string) bool {
	for c.log.Scan() {
		if strings.Contains(c.log.Text(), text) {
			return true
		}
	}
	return false
}

// kill is kill -9.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // it was killed: its exit status says no more
}

// export writes sends among other records, some of them twice, as NDJSON, and returns the file names sent.
func export(t *testing.T, file string, sends int) map[string]int {
	t.Helper()
	want := map[string]int{}
	var out bytes.Buffer
	for i, r := range company.SendRecords(11, sends, 1300) {
		decoded, err := audit.Decode(r.JSON)
		if err != nil {
			t.Fatal(err)
		}
		files, _ := audit.ParseAttachments(decoded.Item.Attachments)
		for _, f := range files {
			want[f.Name]++
		}
		fmt.Fprintf(&out, "%s\n", r.JSON)
		if i%20 == 0 {
			fmt.Fprintf(&out, "%s\n", r.JSON)
		}
		fmt.Fprintf(&out, `{"Id":"other-%d","Operation":"MailItemsAccessed","CreationTime":"2026-03-01T00:00:00"}`+"\n", i)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return want
}

// TestKilledWhileIngestingAndStartedAgainFindsEverythingOnce kills Mailtrail in the middle of its work, several times.
func TestKilledWhileIngestingAndStartedAgainFindsEverythingOnce(t *testing.T) {
	t.Parallel()
	const kills = 4
	sends := 20_000
	if testing.Short() {
		sends = 6_000 // still more than is read between two kills
	}
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "export.ndjson")
	want := export(t, file, sends)

	dice := rand.New(rand.NewPCG(1, 2))
	for round := range kills {
		c := startChild(t, data, file)
		// The first start queues blobs, and says so; later ones find them waiting, and read them from the first moment on.
		if round == 0 && !c.until("msg=polled") {
			t.Fatal("the child ended before it had polled")
		}
		// Ingesting is under way; where exactly it is hit does not matter.
		time.Sleep(time.Duration(100+dice.IntN(600)) * time.Millisecond)
		c.kill(t)
	}
	if err := os.RemoveAll(filepath.Join(data, runFile)); err != nil { // of a start that got to its end
		t.Fatal(err)
	}

	c := startChild(t, data, file)
	defer c.kill(t)
	go c.until("\x00") // nobody else empties the pipe
	told := waitForSummary(t, filepath.Join(data, runFile))
	if r := told.Records; r.Messages != int64(sends) || r.Events != int64(sends) || r.Sends != int64(sends+sends/20) ||
		r.Unreadable != 0 {
		t.Errorf("the summary says %+v, want %d messages", *r, sends)
	}

	got, ids := map[string]int{}, map[string]bool{}
	for _, e := range askAll(t, told) {
		got[e.File.Name]++
		if ids[e.Event.ID] {
			t.Errorf("event %s was found twice", e.Event.ID)
		}
		ids[e.Event.ID] = true
	}
	if len(ids) != sends {
		t.Errorf("%d events found, want %d", len(ids), sends)
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s was sent %d times and found %d times", name, n, got[name])
		}
	}
}

func waitForSummary(t *testing.T, name string) summary {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var told summary
		if b, err := os.ReadFile(name); err == nil && json.Unmarshal(b, &told) == nil && told.Records != nil {
			return told
		}
	}
	t.Fatal("no summary within two minutes")
	return summary{}
}

type event struct {
	Event struct{ ID string }
	File  struct{ Name string }
}

// askAll returns all events, page by page.
func askAll(t *testing.T, told summary) []event {
	t.Helper()
	bearer := login(t, told)
	var all []event
	for token := ""; ; {
		body := fmt.Sprintf(
			`{"groups":[{"filters":[{"term":"event.action","operator":"IS","value":"file-emailed"}]}],"pgSize":3000,"pgToken":%q,"srtKey":"event.id","srtDir":"asc"}`,
			token,
		)
		req, err := http.NewRequestWithContext(
			t.Context(),
			http.MethodPost,
			told.API+"/v2/file-events",
			strings.NewReader(body),
		)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+bearer)
		var page struct {
			FileEvents  []event
			NextPgToken *string
		}
		answerOf(t, req, &page)
		all = append(all, page.FileEvents...)
		if page.NextPgToken == nil {
			return all
		}
		token = *page.NextPgToken
	}
}

func answerOf(t *testing.T, req *http.Request, into any) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d: %.300s", req.URL.Path, resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}
