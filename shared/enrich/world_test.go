package enrich_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// sent is one mail of the company: what the audit record says, what mailboxes hold, and what really left.
type sent struct {
	message forensic.Message
	copies  []world.Message
	truth   world.Truth
}

// enact lets a company live through an interval, and gives back the mails with attachments.
func (st *stage) enact(c *company.Company, from, to time.Time) []sent {
	st.Helper()
	slice := c.Between(from, to)
	st.put(slice.Messages...)
	copies := map[string][]world.Message{}
	for _, m := range slice.Messages {
		copies[m.InternetMessageID] = append(copies[m.InternetMessageID], m)
	}
	truths := map[string]world.Truth{}
	for _, t := range slice.Truth {
		truths[strings.ToLower(t.RecordID)] = t
	}
	var all []sent
	for _, r := range slice.Records {
		m, ok := st.record(r.JSON)
		if !ok {
			continue
		}
		truth, known := truths[string(m.Record)]
		if !known {
			st.Fatalf("message %s has no truth", m.Record)
		}
		if err := c.Hash(&truth); err != nil {
			st.Fatal(err)
		}
		all = append(all, sent{m, copies[truth.InternetMessageID], truth})
	}
	return all
}

// livedThrough is a company that has met every oddity in three hours of office time.
func livedThrough(t *testing.T, options m365sim.Options, roles []string, changes ...func(*enrich.Config)) (*stage,
	[]sent) {
	t.Helper()
	c := company.New(company.Options{Seed: 7, TenantID: tenantID, People: 30, MailsPerHour: 300, Noise: -1,
		AlwaysOpen: true})
	st := newStage(t, options, c.People(), roles, changes...)
	from := noon.Add(-4 * time.Hour)
	return st, st.enact(c, from, from.Add(200*time.Minute))
}

func (st *stage) settleAll(all []sent) {
	st.Helper()
	records := make([]forensic.RecordID, len(all))
	for i, s := range all {
		records[i] = s.message.Record
	}
	most := st.settle(16, records...)
	st.Logf("%d messages settled, in %d attempts at the most", len(all), most)
}

// compare holds what was found of a mail against the truth. It returns why a message or a file of it is not
// known, or "".
func compare(s sent, f forensic.Finding) (reasons []forensic.Reason, err error) {
	if len(s.copies) == 0 || !slices.ContainsFunc(s.copies, func(m world.Message) bool { return !m.Draft }) {
		if f.Reason != forensic.NotFound || len(f.Recipients)+len(f.Files) > 0 {
			return nil, fmt.Errorf("a mail that was kept nowhere: %+v", f)
		}
		return []forensic.Reason{f.Reason}, nil
	}
	if f.Reason != "" {
		return nil, fmt.Errorf("not found: %s", f.Reason)
	}
	var addresses []string
	for _, r := range f.Recipients {
		addresses = append(addresses, r.Address)
	}
	if !slices.Equal(addresses, s.truth.Recipients) {
		return nil, fmt.Errorf("recipients %v, want %v", addresses, s.truth.Recipients)
	}
	if f.From != s.truth.From || f.Subject != s.truth.Subject {
		return nil, fmt.Errorf("from %q subject %q, want %q %q", f.From, f.Subject, s.truth.From, s.truth.Subject)
	}
	return compareFiles(s, f)
}

func compareFiles(s sent, f forensic.Finding) (reasons []forensic.Reason, err error) {
	clean := len(s.message.Files) == len(s.truth.Files)
	var got, want []string
	for i, file := range s.truth.Files {
		kind := s.kindOf(i)
		text := fmt.Sprintf("%s %d %s %s", file.Name, file.Length, file.MD5, file.SHA256)
		switch kind {
		case "item":
			text = file.Name + " " + string(forensic.ItemAttached)
		case "reference":
			a := s.attachment(i)
			m, h := sums(a)
			text = fmt.Sprintf("%s %d %s %s", file.Name, a.Length, m, h)
		}
		want = append(want, text)
	}
	for _, file := range f.Files {
		if file.NoHash != "" && file.NoHash != forensic.NotInMessage {
			reasons = append(reasons, file.NoHash)
		}
		if file.Missing == forensic.NotInMessage {
			if clean {
				return nil, fmt.Errorf("%q is in the record, and was not found in the message", file.Name)
			}
			continue
		}
		text := fmt.Sprintf("%s %d %s %s", file.Name, file.Size, file.MD5, file.SHA256)
		if file.NoHash != "" {
			text = file.Name + " " + string(file.NoHash)
		}
		got = append(got, text)
		if clean && (file.Record < 0 || want[file.Record] != text) {
			return nil, fmt.Errorf("file %d of the record is taken to be %q; the record's are %q", file.Record, text, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return nil, fmt.Errorf("files %q, want %q", got, want)
	}
	return reasons, nil
}

// attachment is the attachment of a copy that is the i-th file of the truth; copies may hold them in another order.
func (s sent) attachment(i int) world.Attachment {
	file := s.truth.Files[i]
	for _, m := range s.copies {
		for _, a := range m.Attachments {
			if a.Name == file.Name && a.Length == file.Length {
				return a
			}
		}
	}
	return world.Attachment{}
}

func (s sent) kindOf(i int) string { return s.attachment(i).Kind }

func sums(a world.Attachment) (md5Hex, sha256Hex string) {
	m, h := md5.New(), sha256.New()
	_, _ = io.Copy(io.MultiWriter(m, h), a.Reader())
	return hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(h.Sum(nil))
}

// check compares all, and counts the reasons.
func (st *stage) check(all []sent) map[forensic.Reason]int {
	st.Helper()
	counts := map[forensic.Reason]int{}
	for _, s := range all {
		f, ok := st.shelf.found(s.message.Record)
		if !ok {
			st.Errorf("message %s is not settled", s.message.Record)
			continue
		}
		reasons, err := compare(s, f)
		if err != nil {
			st.Errorf("message %s: %v", s.message.Record, err)
		}
		for _, r := range reasons {
			counts[r]++
		}
	}
	return counts
}

func TestAllRecipientsAndHashesAreTheTruth(t *testing.T) {
	st, all := livedThrough(t, m365sim.Options{Seed: 3, GraphPageSize: 2}, []string{"Mail.Read", "Files.Read.All"})
	st.settleAll(all)
	counts := st.check(all)
	t.Logf("reasons: %v", counts)
	for r := range counts {
		if r != forensic.NotFound && r != forensic.ItemAttached {
			t.Errorf("reason %s in a world that is well", r)
		}
	}
}

func TestTheTruthIsFoundUnderTenPercentOfFaults(t *testing.T) {
	options := m365sim.Hostile(5)
	options.RefuseRate, options.Latency, options.RolePropagation = 0.1, 0, 0
	begun := time.Now()
	options.Now = func() time.Time { return noon.Add(time.Since(begun)) } // the last attempt waits in real time
	st, all := livedThrough(t, options, []string{"Mail.Read", "Files.Read.All"})
	st.sim.Fault(m365sim.Fault{Op: "graph", Reset: true, Rate: 0.03})
	st.sim.Fault(m365sim.Fault{Op: "graph.value", TornAt: 700, Silent: true, Rate: 0.03})
	st.sim.Fault(m365sim.Fault{Op: "graph.value", Page: true, Rate: 0.03})
	st.settleAll(all)
	st.sim.ClearFaults()
	counts := st.check(all)
	t.Logf("reasons: %v", counts)
	for r := range counts {
		if r != forensic.NotFound && r != forensic.ItemAttached {
			t.Errorf("reason %s, though all could be had before the deadline", r)
		}
	}
	st.silent(all)
}

// silent looks for what no log line may hold: addresses, subjects, names of files and bytes of them.
func (st *stage) silent(all []sent) {
	st.Helper()
	log := st.log.String()
	if log == "" {
		st.Error("nothing was logged, so nothing was looked at")
	}
	for _, s := range all {
		words := append([]string{s.truth.Actor, s.truth.From, s.truth.Sender, s.truth.InternetMessageID,
			s.message.Mailbox}, s.truth.Recipients...)
		if len(s.truth.Subject) > 3 {
			words = append(words, s.truth.Subject)
		}
		for _, f := range s.truth.Files {
			words = append(words, f.Name)
		}
		for _, word := range words {
			if len(word) > 3 && strings.Contains(log, word) {
				st.Fatalf("the log holds %q", word)
			}
		}
	}
}
