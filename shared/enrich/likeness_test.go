package enrich_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// roster knows the staff by their object ids.
type roster struct{}

func (roster) IDs(context.Context, connection.ID, []string) (map[string]string, error) {
	return map[string]string{adasMail: ada, bensMail: ben}, nil
}

func knowing(c *enrich.Config) { c.People = roster{} }

// Classic Outlook changes the message id on sending, so that the record's id finds nothing.
func TestAMailWhoseIDWasChangedIsFoundByTimeSubjectAndAttachments(t *testing.T) {
	o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
	a, b := file(1, "q3.pdf", 50_000), file(2, "q4.pdf", 20_000)
	at := noon.Add(-time.Hour)
	o.put(
		letter(1, ada, adasMail, at.Add(40*time.Second), "<changed@x>", "Figures", a, b),
		letter(2, ada, adasMail, at.Add(50*time.Second), "<other1@x>", "Figures", a),        // other files
		letter(3, ada, adasMail, at, "<other2@x>", "Re: Figures", a, b),                     // another subject
		letter(4, ada, adasMail, at.Add(-3*time.Minute), "<other3@x>", "Figures", a, b),     // another time
		letter(5, ada, adasMail, at, "<other4@x>", "Figures", a, file(9, "q4.pdf", 30_000)), // another size
	)
	o.read(record(1, adasMail, at, "<one@x>", "Figures", a, b))
	o.live(time.Minute)
	o.whole(1, a, b)
	m := o.message(1)
	if m.Copy.MatchedBy != forensic.ByLikeness || m.Copy.MessageID != "<changed@x>" || m.Copy.Mailbox != adasMail {
		t.Errorf("%+v", m.Copy)
	}
}

// Of two mails that fit none is taken, and none that may be another record's: a wrong hash is worse than none.
func TestNoHashIsThatOfAnotherMail(t *testing.T) {
	a := file(1, "q3.pdf", 50_000)
	twin := a
	twin.ID, twin.Seed = "att9", 99 // another file of the same name and size
	at := noon.Add(-time.Hour)
	unknown := func(t *testing.T, o *office, n int) {
		t.Helper()
		if m := o.message(n); m.Copy.Reason != forensic.NotFound || m.Files[0].Attachment.SHA256 != "" ||
			!strings.Contains(m.Copy.Answer, "no such message") {
			t.Errorf("message %d: %+v %+v", n, m.Copy, m.Files)
		}
	}
	t.Run("two mails fit", func(t *testing.T) {
		o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
		o.put(letter(1, ada, adasMail, at, "<a@x>", "x", a), letter(2, ada, adasMail, at.Add(time.Minute), "<b@x>", "x",
			twin))
		o.read(record(1, adasMail, at, "<1@x>", "x", a))
		o.live(time.Hour)
		unknown(t, o, 1)
	})
	t.Run("two records fit", func(t *testing.T) {
		o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
		o.put(letter(2, ada, adasMail, at.Add(time.Minute), "<b@x>", "x", twin))
		o.read(record(1, adasMail, at, "<1@x>", "x", a), record(2, adasMail, at.Add(time.Minute), "<2@x>", "x", twin))
		o.live(time.Hour)
		unknown(t, o, 1)
		unknown(t, o, 2)
	})
	t.Run("the mail is another record's by its id", func(t *testing.T) {
		o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
		o.put(letter(2, ada, adasMail, at.Add(time.Minute), "<2@x>", "x", twin))
		o.read(record(1, adasMail, at, "<1@x>", "x", a), record(2, adasMail, at.Add(time.Minute), "<2@x>", "x", twin))
		o.live(time.Hour)
		unknown(t, o, 1)
		o.whole(2, twin)
	})
	t.Run("that record comes later", func(t *testing.T) {
		o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
		o.put(letter(2, ada, adasMail, at.Add(time.Minute), "<2@x>", "x", twin))
		o.read(record(1, adasMail, at, "<1@x>", "x", a))
		o.live(time.Hour)
		o.whole(1, twin) // nothing says yet that it is another's
		o.read(record(2, adasMail, at.Add(time.Minute), "<2@x>", "x", twin))
		o.live(time.Minute)
		unknown(t, o, 1)
		o.whole(2, twin)
	})
	t.Run("somebody else's mail", func(t *testing.T) {
		o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
		o.put(letter(1, ada, bensMail, at, "<a@x>", "x", a))
		o.read(record(1, adasMail, at, "<1@x>", "x", a))
		o.live(time.Hour)
		unknown(t, o, 1)
	})
}

// Mail that was deleted for good within the lag of the audit log lies in Recoverable Items.
func TestMailThatWasDeletedForGoodIsFound(t *testing.T) {
	o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
	a := file(1, "q3.pdf", 50_000)
	at := noon.Add(-time.Hour)
	o.put(letter(1, ada, adasMail, at, "<1@x>", "x", a), letter(2, ada, adasMail, at, "<changed@x>", "y", a))
	for _, id := range []string{"<1@x>", "<changed@x>"} {
		if err := o.sim.DeleteForGood(tenantID, ada, id); err != nil {
			t.Fatal(err)
		}
	}
	o.read(record(1, adasMail, at, "<1@x>", "x", a), record(2, adasMail, at, "<2@x>", "y", a))
	o.live(time.Minute)
	o.whole(1, a)
	o.whole(2, a)
}

// A mailbox is asked for by its object id, which outlasts names, and by its name if the id does not lead to it.
func TestAMailboxIsAskedForByObjectID(t *testing.T) {
	a := file(1, "q3.pdf", 50_000)
	at := noon.Add(-time.Hour)
	for name, trouble := range map[string]func(o *office) error{
		"all is well": func(*office) error { return nil },
		"renamed":     func(o *office) error { return o.sim.RenamePerson(tenantID, ada, "countess@fernhill.example") },
		"the name is not found": func(o *office) error {
			o.sim.Fault(m365sim.Fault{Mailbox: "*", ByName: true, Code: "ResourceNotFound"})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, m365sim.Options{}, mailRead(), knowing)
			o.put(letter(1, ada, adasMail, at, "<1@x>", "x", a))
			if err := trouble(o); err != nil {
				t.Fatal(err)
			}
			o.read(record(1, adasMail, at, "<1@x>", "x", a))
			o.live(time.Minute)
			o.whole(1, a)
			// Find it, list what is attached to it, read that: as many calls as ever.
			if calls := len(o.sim.History(m365sim.Filter{Op: "graph"})); calls != 3 {
				t.Errorf("%d calls", calls)
			}
		})
	}
	t.Run("the id is another's", func(t *testing.T) {
		o := newOffice(t, m365sim.Options{}, mailRead(), func(c *enrich.Config) { c.People = mistaken{} })
		o.put(letter(1, ada, adasMail, at, "<1@x>", "x", a))
		o.read(record(1, adasMail, at, "<1@x>", "x", a))
		o.live(time.Minute)
		o.whole(1, a)
	})
}

// mistaken gives ids that nobody has.
type mistaken struct{}

func (mistaken) IDs(_ context.Context, _ connection.ID, addresses []string) (map[string]string, error) {
	ids := map[string]string{}
	for i, address := range addresses {
		ids[address] = fmt.Sprintf("99999999-9999-4999-8999-%012d", i)
	}
	return ids, nil
}
