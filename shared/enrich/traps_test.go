package enrich_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Each test here is one trap of Microsoft Graph that is known to catch whoever reads sent mail through it.

func mailRead() []string { return []string{"Mail.Read"} }

// hashed checks that a file was hashed, and correctly.
func hashed(t *testing.T, f forensic.Attachment, a world.Attachment) {
	t.Helper()
	m, h := sums(a)
	if f.NoHash != "" || f.MD5 != m || f.SHA256 != h || f.Size != a.Length {
		t.Errorf("%q is %d bytes, MD5 %q, SHA-256 %q, %q; it is %d bytes, MD5 %q", f.Name, f.Size, f.MD5, f.SHA256,
			f.NoHash, a.Length, m)
	}
}

// queries are the queries of an operation, as they were sent.
func (st *stage) queries(op string) (all []string) {
	for _, r := range st.sim.History(m365sim.Filter{Op: op}) {
		all = append(all, r.Query)
	}
	return all
}

func TestADeletedMessageIsFoundInDeletedItems(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	m := mail(a)
	m.Folder = "deleteditems"
	st.put(m)
	hashed(t, st.finding(told(a)).Files[0], a)
}

func TestAMessageIDIsSentWithItsBracketsAndEscapedWhole(t *testing.T) {
	for _, id := range []string{"<a+b=c&d#e@x>", "<it's@x>", "<100%25 sure?@x>", "<ü@x>", "<a b@x>", "no-brackets@x"} {
		st := newStage(t, m365sim.Options{}, staff(), mailRead())
		a := file(1, "q3.pdf", 1000)
		m, record := mail(a), told(a)
		m.InternetMessageID, record.InternetMessageID = id, id
		st.put(m)
		if f := st.finding(record); f.Reason != "" {
			t.Errorf("%s: %s", id, f.Reason)
		}
		for _, q := range st.queries("graph.messages") {
			if strings.ContainsAny(q, "<>'#+ ") {
				t.Errorf("the query %q is not escaped whole", q)
			}
		}
	}
}

func TestOfSeveralMessagesWithOneIDTheSentOneIsTaken(t *testing.T) {
	a := file(1, "q3.pdf", 1000)
	draft, received, sent, later := mail(file(2, "old.pdf", 900)), mail(a), mail(a), mail(file(3, "other.pdf", 900))
	draft.ID, draft.ImmutableID, draft.Folder, draft.Draft = "d", "ld", "drafts", true
	received.ID, received.ImmutableID, received.Folder = "r", "lr", "inbox"
	sent.Bcc = []world.Address{{Name: "Hidden", Address: "hidden@partner.example"}}
	later.ID, later.ImmutableID, later.Sent = "l", "ll", later.Sent.Add(48*time.Hour)
	later.From, later.Sender = world.Address{Address: "x@fernhill.example"}, world.Address{Address: "x@fernhill.example"}
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	st.put(draft, received, later, sent)
	f := st.finding(told(a))
	hashed(t, f.Files[0], a)
	if len(f.Recipients) != 2 || f.Recipients[1].Role != forensic.Bcc {
		t.Errorf("recipients %+v: Bcc is on the sender's copy only", f.Recipients)
	}
}

func TestTheMessageIsFoundBehindAPageOfDrafts(t *testing.T) {
	a := file(1, "q3.pdf", 1000)
	m := mail(a)
	m.Folder = "archive"
	m.Sent = m.Sent.Add(-time.Minute) // the oldest comes last
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	for i := range 15 { // Graph gives ten on a page unless it is asked for more
		draft := mail()
		draft.ID, draft.ImmutableID, draft.Folder, draft.Draft = fmt.Sprint("d", i), fmt.Sprint("ld", i), "drafts", true
		st.put(draft)
	}
	st.put(m)
	hashed(t, st.finding(told(a)).Files[0], a)
}

func TestALeftOverDraftIsNotTheMessage(t *testing.T) {
	draft := mail(file(1, "q3.pdf", 1000))
	draft.Folder, draft.Draft = "drafts", true
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	st.put(draft)
	if f := st.finding(told(draft.Attachments...)); f.Reason != forensic.NotFound {
		t.Errorf("%+v", f)
	}
}

// Whoever writes to a mailbox may give the mail any id, that of a mail which was sent from there and deleted
// for good too.
func TestAStrangersMailOfAnotherDayWithTheSameIDIsNotTheMessage(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a, b := file(1, "q3.pdf", 1000), file(2, "q3.pdf", 1000)
	record := told(a)
	m := mail(b)
	m.Folder, m.From, m.Sender = "inbox", world.Address{Address: "mallory@elsewhere.example"},
		world.Address{Address: "mallory@elsewhere.example"}
	m.Sent = record.Observed.Add(-48 * time.Hour)
	st.put(m)
	if f := st.finding(record); f.Reason != forensic.NotFound {
		t.Errorf("taken for the message: %+v", f)
	}
}

func TestNothingIsOrderedAndOnlyTheMessageIDIsFilteredBy(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	st.finding(told(a))
	for _, q := range st.queries("graph.messages") {
		values, err := url.ParseQuery(q)
		if err != nil || values.Has("$orderby") || !strings.HasPrefix(values.Get("$filter"), "internetMessageId eq '<") {
			t.Errorf("query %q, %v", q, err)
		}
	}
}

func TestACopyThatIsLateInSentItemsIsWaitedFor(t *testing.T) {
	st := newStage(t, m365sim.Options{SentLag: 5 * time.Minute}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	m, record := mail(a), told(a)
	m.Sent, record.Observed = noon, noon
	received := m
	received.ID, received.ImmutableID, received.Folder = "r", "lr", "inbox"
	m.Bcc = []world.Address{{Address: "hidden@partner.example"}}
	st.put(received, m)
	if f := st.finding(record); len(f.Recipients) != 2 {
		t.Errorf("%+v: the copy that was received knows no Bcc, and the sent one was to come", f)
	}
	if waited := st.sim.Now().Sub(noon); waited > 10*time.Minute {
		t.Errorf("it took %s until a copy was found that came after five minutes", waited)
	}
}

func TestAMessageThatWasNotSavedIsGivenUpAtTheDeadline(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	record := told(file(1, "q3.pdf", 1000))
	st.add(record)
	attempts := st.settle(1, record.Record)
	f, _ := st.shelf.found(record.Record)
	waited := st.sim.Now().Sub(noon)
	if f.Reason != forensic.NotFound || waited < 30*time.Minute || waited > 31*time.Minute || attempts > 14 {
		t.Errorf("%+v after %s and %d attempts", f, waited, attempts)
	}
}

func TestTheMailboxOfADelegateIsAskedFirst(t *testing.T) {
	a := file(1, "q3.pdf", 1000)
	for _, tc := range []struct {
		name, operation, keeper string
		want                    string
		asked                   int // searches of mailboxes
	}{
		{"sent as, kept by the delegate", "SendAs", ben, "ben@fernhill.example", 1},
		{"sent as, kept by the mailbox", "SendAs", sales, "sales@fernhill.example", 2},
		{"sent on behalf, kept by the delegate", "SendOnBehalf", ben, "ben@fernhill.example", 1},
		{"sent on behalf, kept by the mailbox", "SendOnBehalf", sales, "sales@fernhill.example", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, m365sim.Options{}, staff(), mailRead())
			m, record := mail(a), told(a)
			m.Mailbox, m.From = tc.keeper, world.Address{Address: "sales@fernhill.example"}
			record.Operation, record.Actor, record.Mailbox, record.From = tc.operation, "ben@fernhill.example",
				"sales@fernhill.example", "sales@fernhill.example"
			st.put(m)
			if f := st.finding(record); f.Mailbox != tc.want || len(st.queries("graph.messages")) != tc.asked {
				t.Errorf("found in %q after %d searches", f.Mailbox, len(st.queries("graph.messages")))
			}
		})
	}
}

func TestTheAddressSentAsIsAskedWhenTheOwnerIsSomebodyElse(t *testing.T) {
	a := file(1, "q3.pdf", 1000)
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	m, record := mail(a), told(a)
	m.Mailbox = sales
	record.Operation, record.Actor, record.Mailbox, record.From = "SendAs", "ben@fernhill.example",
		"ada@fernhill.example", "sales@fernhill.example"
	st.put(m)
	if f := st.finding(record); f.Mailbox != "sales@fernhill.example" {
		t.Errorf("found in %q", f.Mailbox)
	}
}

func TestAMessageThatMovesKeepsItsID(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 100_000)
	st.put(mail(a))
	// Found in Sent Items; the first listing of its attachments fails, and meanwhile a rule moves it.
	st.sim.Fault(m365sim.Fault{Op: "graph.attachments", Status: 429, RetryAfter: time.Minute, Times: 1})
	record := told(a)
	st.add(record)
	if err := st.once(record.Record); err == nil {
		t.Fatal("a throttled listing settled the message")
	}
	if err := st.sim.MoveMessage(tenantID, ada, "lasting-1", "archive"); err != nil {
		t.Fatal(err)
	}
	st.settle(1, record.Record)
	f, _ := st.shelf.found(record.Record)
	hashed(t, f.Files[0], a)
}

func TestRecipientsHaveTheirRolesAndGroupsStayGroups(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	m := mail(a)
	m.To = []world.Address{{Name: "All staff", Address: "all@fernhill.example"},
		{Name: "Out", Address: "Out@Partner.example"}}
	m.Cc = []world.Address{{Name: "", Address: "cc@partner.example"}}
	m.Bcc = []world.Address{{Name: "Drop", Address: "drop@gmail.com"}}
	st.put(m)
	want := []forensic.Recipient{
		{Address: "all@fernhill.example", Name: "All staff", Role: forensic.To},
		{Address: "Out@Partner.example", Name: "Out", Role: forensic.To},
		{Address: "cc@partner.example", Role: forensic.Cc}, {Address: "drop@gmail.com", Name: "Drop", Role: forensic.Bcc},
	}
	if f := st.finding(told(a)); !slices.Equal(f.Recipients, want) {
		t.Errorf("recipients %+v", f.Recipients)
	}
}

func TestATeamsChatItemWithoutASenderIsNoCrash(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	chat := mail()
	chat.ID, chat.ImmutableID, chat.Folder, chat.From, chat.Sender, chat.To = "c", "lc", "teamschat", world.Address{},
		world.Address{}, nil
	m := mail(a)
	m.Folder = "deleteditems"
	st.put(chat, m)
	hashed(t, st.finding(told(a)).Files[0], a)
}
