package company_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// fields are what these tests read of an audit record.
type fields struct {
	ID, Operation, UserID, UserKey, AppID, ClientAppID string

	MailboxOwnerUPN, ClientInfoString, SendAsUserSMTP string

	ActorIP, ActorInfoString, DeviceID, MailboxGUID, ClientProcessName string
	UserType, LogonType                                                int
	SaveToSentItems                                                    *bool

	Item struct{ Attachments, ImmutableID, InternetMessageID string }
}

// day is one working day of a company: its sends with their truth, by record id.
type day struct {
	*company.Company
	company.Slice
	sends map[string]fields
	truth map[string]world.Truth
}

func dayOf(t *testing.T, field company.Field) day {
	t.Helper()
	c := company.New(company.Options{Seed: 3, MailsPerHour: 120, Noise: -1, Field: field})
	d := day{Company: c, Slice: c.Between(monday(), monday().Add(24*time.Hour)), sends: map[string]fields{},
		truth: map[string]world.Truth{}}
	for _, raw := range d.Records {
		var r fields
		// Some records spell their numbers as text on purpose; these tests have no need of them.
		if err := json.Unmarshal(raw.JSON, &r); err == nil {
			d.sends[r.ID] = r
		} else if !bytes.Contains(raw.JSON, []byte(`"RecordType":"2"`)) {
			t.Fatalf("record %s: %v", raw.JSON, err)
		}
	}
	for _, x := range d.Truth {
		d.truth[x.RecordID] = x
	}
	return d
}

// some fails the test unless at least one send is as wanted, and returns those that are.
func (d day) some(t *testing.T, what string, wanted func(fields, world.Truth) bool) (found []fields) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(d.sends)) {
		if r := d.sends[id]; wanted(r, d.truth[id]) {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		t.Errorf("nothing was sent by: %s", what)
	}
	return found
}

func TestApplicationsAndServicesSend(t *testing.T) {
	d := dayOf(t, company.Field{Applications: true})
	disabled := map[string]bool{}
	for _, p := range d.People() {
		disabled[p.UserPrincipalName] = !p.Enabled
	}
	for _, r := range d.some(t, "an application", func(_ fields, x world.Truth) bool { return x.Application != "" }) {
		x := d.truth[r.ID]
		if r.UserType != 5 || r.UserKey != x.Application || r.ClientAppID != x.Application || r.LogonType != 0 ||
			r.UserID != r.MailboxOwnerUPN || r.SaveToSentItems == nil ||
			*r.SaveToSentItems != (len(x.Copies) > 0) || x.UserType != 5 {
			t.Errorf("an application's send: %+v, truth %+v", r, x)
		}
	}
	d.some(t, "an application in a shared mailbox", func(r fields, _ world.Truth) bool {
		return r.UserType == 5 &&
			disabled[r.UserID]
	})
	d.some(t, "an application in a person's mailbox", func(r fields, _ world.Truth) bool {
		return r.UserType == 5 &&
			!disabled[r.UserID]
	})
	for _, r := range d.some(t, "a service", func(r fields, _ world.Truth) bool { return r.UserID == "S-1-5-18" }) {
		if r.UserType != 4 || r.UserKey != "S-1-5-18" || r.LogonType != 4 || !disabled[r.MailboxOwnerUPN] ||
			d.truth[r.ID].Actor != "S-1-5-18" {
			t.Errorf("a service's send: %+v", r)
		}
	}
	for _, r := range d.some(t, "a person as the group", func(r fields,
		_ world.Truth) bool {
		return strings.HasPrefix(r.SendAsUserSMTP, "project.heron@")
	}) {
		if r.Operation != "SendAs" || r.UserType != 0 || r.LogonType != 2 || d.truth[r.ID].From != r.SendAsUserSMTP {
			t.Errorf("a send as the group: %+v", r)
		}
	}
	if g := d.Groups(); len(g) != 1 || len(g[0].Members) == 0 {
		t.Errorf("groups: %+v", g)
	}
}

func TestSomeMailLeavesNoRecord(t *testing.T) {
	d := dayOf(t, company.Field{Unrecorded: true})
	why, copies := map[string]int{}, 0
	for _, x := range d.Truth {
		if x.Unrecorded == "" {
			continue
		}
		why[x.Unrecorded]++
		if _, there := d.sends[x.RecordID]; there {
			t.Errorf("%s: there is a record", x.Actor)
		}
		for _, m := range d.Messages {
			if m.InternetMessageID == x.InternetMessageID {
				copies++
				break
			}
		}
		if err := d.Hash(&x); err != nil {
			t.Error(err)
		}
	}
	if len(why) != 3 || why["audit bypass"] == 0 || why["customised owner set"] == 0 || why["resource "+
		"mailbox"] == 0 || copies < 3 {
		t.Errorf("mails without a record: %v, %d of them have copies", why, copies)
	}
}

func TestRecordsHaveEveryFact(t *testing.T) {
	d := dayOf(t, company.Field{Facts: true})
	for _, r := range d.some(t, "classic Outlook", func(r fields,
		_ world.Truth) bool {
		return r.ClientInfoString == "Client=MSExchangeRPC"
	}) {
		if r.ActorIP == "" || r.DeviceID == "" || r.ActorInfoString != r.ClientInfoString || r.MailboxGUID == "" ||
			r.Item.ImmutableID == "" || r.ClientProcessName != "OUTLOOK.EXE" || r.SaveToSentItems == nil {
			t.Errorf("a send of classic Outlook: %+v", r)
		}
	}
	d.some(t, "Outlook on the web", func(r fields, _ world.Truth) bool {
		return strings.HasPrefix(r.ClientInfoString, "Client=OWA") && r.DeviceID != ""
	})
	d.some(t, "REST", func(r fields, _ world.Truth) bool {
		return r.ClientInfoString == "Client=REST;;" &&
			r.ActorIP == ""
	})
	d.some(t, "a delegate", func(r fields, _ world.Truth) bool { return r.LogonType == 2 && r.Item.ImmutableID != "" })
	d.some(t, "somebody who keeps no copy", func(r fields, x world.Truth) bool {
		return r.SaveToSentItems != nil && !*r.SaveToSentItems && len(x.Copies) == 0
	})
	for _, raw := range d.Records {
		if bytes.Count(raw.JSON, []byte(`"SaveToSentItems"`)) > 1 || !json.Valid(raw.JSON) {
			t.Fatalf("a record says it twice: %s", raw.JSON)
		}
	}
}

func TestMailIsFoundOtherwiseThanByItsID(t *testing.T) {
	d := dayOf(t, company.Field{ClassicIDs: true, DeletedForGood: true, Listless: "Client=WebServices"})
	copies := map[string]string{} // internet message id to folder
	for _, m := range d.Messages {
		if !m.Draft {
			copies[m.InternetMessageID] = m.Folder
		}
	}
	d.some(t, "classic Outlook, with another id", func(r fields, x world.Truth) bool {
		changed := len(x.Copies) > 0 && x.Copies[0].InternetMessageID != r.Item.InternetMessageID
		_, byRecord := copies[r.Item.InternetMessageID]
		if changed != (r.ClientInfoString == "Client=MSExchangeRPC" && len(x.Copies) > 0) || changed && byRecord {
			t.Errorf("%s: copies %v, the record says %s", r.ClientInfoString, x.Copies, r.Item.InternetMessageID)
		}
		return changed
	})
	d.some(t, "somebody who deleted it for good", func(_ fields, x world.Truth) bool {
		return len(x.Copies) > 0 && x.Copies[0].Folder == "recoverableitemsdeletions" &&
			copies[x.Copies[0].InternetMessageID] == x.Copies[0].Folder
	})
	d.some(t, "a client that lists no attachments", func(r fields, x world.Truth) bool {
		if x.Unlisted != (len(x.Files) > 0 && strings.HasPrefix(r.ClientInfoString, "Client=WebServices")) ||
			x.Unlisted && r.Item.Attachments != "" {
			t.Errorf("%s lists %q, truth %+v", r.ClientInfoString, r.Item.Attachments, x.Files)
		}
		return x.Unlisted
	})
}

func TestOnePersonHadAnotherName(t *testing.T) {
	d := dayOf(t, company.Field{Renamed: true})
	names := map[string]bool{}
	var aliased string
	for _, p := range d.People() {
		names[p.UserPrincipalName] = true
		for _, a := range p.ProxyAddresses {
			if strings.Contains(a, ".before@") {
				aliased = strings.TrimPrefix(a, "smtp:")
			}
		}
	}
	d.some(t, "somebody under an older name", func(r fields, x world.Truth) bool {
		return r.UserID == aliased && r.UserID == x.Actor && !names[r.UserID]
	})
}

func TestLicencesOfALargeTenant(t *testing.T) {
	few, many := company.New(company.Options{Seed: 3}).People(), company.New(company.Options{Seed: 3,
		Field: company.Field{PlansEach: 111}}).People()
	for i, p := range many {
		if n, was := len(p.Plans), len(few[i].Plans); was == 0 && n != 0 || was > 0 && n != 111 {
			t.Errorf("%s has %d plans, and had %d", p.UserPrincipalName, n, was)
		}
	}
}

// With everything that the field reports add, a company still sends the same mail: levers change no more than they say.
func TestFieldChangesNothingElse(t *testing.T) {
	plain, field := dayOf(t, company.Field{}), dayOf(t, company.EveryField())
	for id, x := range plain.truth {
		y, there := field.truth[id]
		if !there || !y.Observed.Equal(x.Observed) || y.Subject != x.Subject || len(y.Files) != len(x.Files) ||
			!slices.Equal(y.Recipients, x.Recipients) {
			t.Fatalf("truth %+v became %+v", x, y)
		}
	}
	again := dayOf(t, company.EveryField())
	for i, r := range field.Records {
		if !bytes.Equal(r.JSON, again.Records[i].JSON) {
			t.Fatalf("the same company wrote it otherwise:\n%s\n%s", r.JSON, again.Records[i].JSON)
		}
	}
}
