package enrich_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

func TestOddNamesAreTakenAsTheyAre(t *testing.T) {
	for _, name := range []string{
		"it's.pdf", "a+b.pdf", "#1.pdf", "100%25.pdf", "../../etc/passwd", `..\..\boot.ini`, "..",
		"Überblick – 年度報告 🎉.pdf", "cafe\u0301.txt", "first\nsecond.txt",
		"<script>.html", `"quoted".xlsx`, " leading.txt", "\u202efdp.exe", strings.Repeat("long ", 60) + ".pdf",
	} {
		st := newStage(t, m365sim.Options{}, staff(), mailRead())
		small, large := file(1, name, 1000), file(2, name, 100_000)
		large.ID = "an/id+with=odd#letters?and'quotes%"
		st.put(mail(small, large))
		f := st.finding(told(small, large))
		hashed(t, f.Files[0], small)
		hashed(t, f.Files[1], large)
		if len(f.Files) != 2 || f.Files[0].Name != name || f.Files[0].Record != 0 || f.Files[1].Record != 1 {
			t.Errorf("%q: %+v", name, f.Files)
		}
	}
}

func TestAMailboxWithAnOddAddressIsAsked(t *testing.T) {
	const odd = "o'brien+x#1@fernhill.example"
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 100_000)
	m, record := mail(a), told(a)
	m.Mailbox, record.Mailbox, record.Actor = odd, odd, odd
	st.put(m)
	hashed(t, st.finding(record).Files[0], a)
}

func TestAListingThatLiesAboutSizesMakesNoWrongHash(t *testing.T) {
	for _, lie := range []int64{0, 1, 5000, 20_000, 150_000, 1 << 40} {
		st := newStage(t, m365sim.Options{}, staff(), mailRead())
		small, large := file(1, "small.pdf", 3000), file(2, "large.pdf", 100_000)
		small.StoredSize, large.StoredSize = lie, lie
		st.put(mail(small, large))
		f := st.finding(told(small, large))
		hashed(t, f.Files[0], small)
		hashed(t, f.Files[1], large)
	}
}

func TestAStreamThatBreaksOffIsReadAnew(t *testing.T) {
	for name, broken := range map[string]m365sim.Fault{
		"broken":              {Op: "graph.value", TornAt: 60_000, Times: 2},
		"ended too early":     {Op: "graph.value", TornAt: 60_000, Silent: true, Times: 5},
		"reset":               {Op: "graph.value", Reset: true, Times: 2},
		"always ended early":  {Op: "graph.value", TornAt: 60_000, Silent: true},
		"a page":              {Op: "graph.value", Page: true, Times: 2},
		"always a page":       {Op: "graph.value", Page: true},
		"the other form too":  {Op: "graph.att", TornAt: 1000, Silent: true, Times: 2},
		"a gateway's failure": {Op: "graph.value", Status: 504, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, m365sim.Options{}, staff(), mailRead())
			if broken.Op == "graph.att" {
				st.sim.Fault(m365sim.Fault{Op: "graph.value", TornAt: 60_000, Silent: true})
				broken.Op = "graph.attachment"
			}
			st.sim.Fault(broken)
			a := file(1, "q3.pdf", 300_000)
			st.put(mail(a))
			hashed(t, st.finding(told(a)).Files[0], a)
		})
	}
}

func TestAFileThatNeverComesWholeHasAReasonAndNoHash(t *testing.T) {
	for name, broken := range map[string]m365sim.Fault{
		"torn":     {Op: "graph", Path: "/att1", TornAt: 9000},
		"silently": {Op: "graph", Path: "/att1", TornAt: 9000, Silent: true},
		"a page":   {Op: "graph", Path: "/att1", Page: true},
		"refused":  {Op: "graph", Path: "/att1", Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, m365sim.Options{}, staff(), mailRead())
			st.sim.Fault(broken)
			bad, good := file(1, "bad.html", 30_000), file(2, "good.pdf", 30_000)
			bad.ContentType = "text/html"
			st.put(mail(bad, good))
			f := st.finding(told(bad, good))
			if x := f.Files[0]; x.NoHash != forensic.OutOfTime || x.MD5+x.SHA256 != "" || x.Size != -1 {
				t.Errorf("%+v", x)
			}
			hashed(t, f.Files[1], good)
			if got := len(st.sim.History(m365sim.Filter{Op: "graph.value", Path: "/att2"})); got != 1 {
				t.Errorf("the file that came whole was read %d times", got)
			}
		})
	}
}

func TestAPageAsAttachmentIsAFile(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	small, large := file(1, "small.html", 300), file(2, "large.html", 300_000)
	for _, a := range []*world.Attachment{&small, &large} {
		a.ContentType, a.Magic = "text/html", []byte("<html><title>Bad gateway</title>")
	}
	st.put(mail(small, large))
	f := st.finding(told(small, large))
	hashed(t, f.Files[0], small)
	hashed(t, f.Files[1], large)
	if f.Files[0].ByBytes != "text/html" {
		t.Errorf("by its bytes it is %q", f.Files[0].ByBytes)
	}
}

func TestNoTokenFollowsARedirect(t *testing.T) {
	// The other host takes everything, and remembers it.
	elsewhere := m365sim.New(m365sim.Options{})
	doors, err := elsewhere.Start(t.Context(), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := doors.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, op := range []string{"graph.messages", "graph.attachments", "graph.attachment", "graph.value", "graph.beta",
		"graph.shares", "graph.content", "files.download"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, m365sim.Options{}, staff(), []string{"Mail.Read", "Files.Read.All"})
			st.sim.Fault(m365sim.Fault{Op: op, Location: doors.Graph + "/v1.0/users/ada@fernhill.example/messages"})
			pdf, link := file(1, "q3.pdf", 300_000), file(2, "Plan.docx", 3000)
			link.Kind, link.SourceURL = "reference", "https://cloud.example/plan"
			small := file(3, "small.pdf", 1000)
			st.put(mail(pdf, link, small))
			f := st.finding(told(pdf, link, small))
			for _, file := range f.Files {
				if file.NoHash != "" && file.NoHash != forensic.OutOfTime && file.NoHash != forensic.NotReachable {
					t.Errorf("%+v", file)
				}
			}
			if len(f.Files) == 0 && f.Reason != forensic.OutOfTime {
				t.Errorf("reason %q", f.Reason)
			}
			if got := elsewhere.History(m365sim.Filter{}); len(got) > 0 {
				t.Errorf("the other host was asked: %+v", got[0])
			}
		})
	}
}

func TestAFileAboveTheLimitIsNotHashed(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead(), func(c *enrich.Config) { c.Limit = 100_000 })
	under, over, liar := file(1, "under.pdf", 100_000), file(2, "over.pdf", 100_001), file(3, "liar.pdf", 200_000)
	liar.StoredSize = 300
	st.put(mail(under, over, liar))
	f := st.finding(told(under, over, liar))
	hashed(t, f.Files[0], under)
	for _, x := range f.Files[1:] {
		if x.NoHash != forensic.TooLarge || x.MD5 != "" {
			t.Errorf("%+v", x)
		}
	}
}

func TestAQueuedTextThatIsNoneIsPoison(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	for _, body := range []string{"", "{}", "[]", `{"connection":"c"}`, `{"record":"r"}`, "\xff"} {
		if err := st.agent.Enrich(t.Context(), []byte(body)); !errors.Is(err, fault.Poison) {
			t.Errorf("%q: %v", body, err)
		}
	}
	if err := st.agent.Enrich(t.Context(), []byte(`{"connection":"gone","record":"r"}`)); err != nil {
		t.Errorf("a connection that is no more: %v", err)
	}
	if err := st.once("no-such-message"); err != nil {
		t.Errorf("a message that is no more: %v", err)
	}
}

func TestRecipientsAreKeptWhenTheAttachmentsCannotBeListed(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	st.sim.Fault(m365sim.Fault{Op: "graph.attachments", Status: 503})
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	f := st.finding(told(a))
	if f.Reason != "" || len(f.Recipients) != 1 || len(f.Files) != 1 || f.Files[0].NoHash != forensic.OutOfTime ||
		f.Files[0].Missing != "" || f.Files[0].Name != a.Name {
		t.Errorf("%+v", f)
	}
}

func TestTheLastAttemptWaitsWhereItIsAskedTo(t *testing.T) {
	begun := time.Now()
	st := newStage(t, m365sim.Options{Now: func() time.Time { return noon.Add(time.Since(begun)) }}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	for _, op := range []string{"graph.messages", "graph.attachments", "graph.attachment"} {
		st.sim.Fault(m365sim.Fault{Op: op, Status: 429, RetryAfter: time.Second, Times: 1})
	}
	record := told(a)
	record.Stored = noon.Add(-time.Hour)
	st.add(record)
	if err := st.once(record.Record); err != nil {
		t.Fatal(err)
	}
	f, _ := st.shelf.found(record.Record)
	hashed(t, f.Files[0], a)
}

func TestTheDeadlineIsKept(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead(), func(c *enrich.Config) { c.Deadline = 10 * time.Minute })
	st.sim.Fault(m365sim.Fault{Op: "graph.messages", Status: 500})
	record := told(file(1, "q3.pdf", 1000))
	st.add(record)
	attempts := st.settle(1, record.Record)
	f, _ := st.shelf.found(record.Record)
	if waited := st.sim.Now().Sub(noon); f.Reason != forensic.OutOfTime || waited < 10*time.Minute ||
		waited > 11*time.Minute {
		t.Errorf("%+v after %s and %d attempts", f, waited, attempts)
	}
}
