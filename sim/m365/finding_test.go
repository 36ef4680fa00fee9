package m365sim_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// found counts the messages of Ben, in a folder or in all, that have this internet message id.
func (m *microsoft) found(folder, id string) int {
	m.t.Helper()
	path := "/graph/v1.0/users/" + ben
	if folder != "" {
		path += "/mailFolders/" + folder
	}
	return len(into[values](m.t, m.graph(path+"/messages"+filterFor(id))).Value)
}

const logoID = "<2@contoso.test>"

func TestDeletedForGoodIsAmongTheRecoverableItems(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	m.must(m.DeleteForGood(contoso, "ben@contoso.test", logoID))
	if all, sent, kept := m.found("", logoID), m.found("sentitems", logoID), m.found("recoverableitemsdeletions",
		logoID); all != 0 || sent != 0 || kept != 1 {
		t.Errorf("found %d anywhere, %d in Sent Items, %d in Recoverable Items", all, sent, kept)
	}
	path := "/graph/v1.0/users/" + ben + "/mailFolders/recoverableitemsdeletions/messages" + filterFor(logoID)
	id, _ := into[values](t, m.graph(path)).Value[0]["id"].(string)
	if list := into[values](t, m.graph("/graph/v1.0/users/"+ben+"/messages/"+id+"/attachments?$select=id,name")); len(
		list.Value,
	) != 1 {
		t.Errorf("its attachments: %v", list)
	}
	m.Change(func(o *m365sim.Options) { o.RecoverableInMessages = true })
	if n := m.found("", logoID); n != 1 {
		t.Errorf("found %d anywhere, with Recoverable Items listed", n)
	}
}

func TestClassicOutlookChangesTheMessageID(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	m.must(m.RewriteMessageID(contoso, ben, logoID, "<other@contoso.test>"))
	if old, changed := m.found("", logoID), m.found("", "<other@contoso.test>"); old != 0 || changed != 1 {
		t.Errorf("found %d by the old id, %d by the new one", old, changed)
	}
	around := "sentDateTime ge " + noon.Add(-2*time.Minute).Format(time.RFC3339) + " and sentDateTime le " +
		"" + noon.Add(2*time.Minute).Format(time.RFC3339) +
		" and subject eq 'Logo alone'"
	list := into[values](
		t,
		m.graph(
			"/graph/v1.0/users/"+ben+"/mailFolders/sentitems/messages?$orderby=sentDateTime&$filter="+url.QueryEscape(around),
		),
	)
	if len(list.Value) != 1 || list.Value[0]["internetMessageId"] != "<other@contoso.test>" {
		t.Errorf("by time and subject: %v", list.Value)
	}
}

func TestARenamedPersonKeepsTheMailbox(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	m.must(m.RenamePerson(contoso, "ben@contoso.test", "benjamin@contoso.test"))
	if r := m.graph(messageOf); r.code() != "ErrorInvalidUser" {
		t.Errorf("by the old name: %d %s", r.status, r.body)
	}
	for _, name := range []string{"benjamin@contoso.test", ben} {
		if r := m.graph("/graph/v1.0/users/" + name + "/messages"); r.status != 200 || !strings.Contains(r.body,
			"Logo alone") {
			t.Errorf("by %s: %d %s", name, r.status, r.body)
		}
	}
	person := m.graph("/graph/v1.0/users/" + ben + "?$select=mail,userPrincipalName,proxyAddresses").body
	for _, part := range []string{`"mail":"benjamin@contoso.test"`,
		`"SMTP:benjamin@contoso.test","smtp:ben@contoso.test"`} {
		if !strings.Contains(person, part) {
			t.Errorf("%s is missing in %s", part, person)
		}
	}
}

func TestLeversThatHideMail(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	pull := m.control()
	who := `{"tenant":"` + contoso + `","user":"ben@contoso.test","message":"` + logoID + `"`
	for _, step := range []struct{ lever, body string }{
		{"/message/rewrite", who + `,"name":"<3@contoso.test>"}`},
		{"/message/rewrite", strings.ReplaceAll(who, "<2@", "<3@") + `,"name":"` + logoID + `"}`},
		{"/message/move", strings.ReplaceAll(who, logoID, "I3") + `,"folder":"deleteditems"}`},
		{"/message/delete", who + "}"},
		{"/message/purge", who + "}"},
		{"/person/rename", `{"tenant":"contoso.test","user":"ben@contoso.test","name":"benjamin@contoso.test"}`},
	} {
		if r := pull("POST", step.lever, step.body); r.status != 200 {
			t.Errorf("%s %s: %d %s", step.lever, step.body, r.status, r.body)
		}
	}
	if r := pull("POST", "/message/delete", who+"}"); r.status != 400 {
		t.Errorf("a message that is not there: %d %s", r.status, r.body)
	}
	if n := m.found("recoverableitemsdeletions", logoID); n != 0 {
		t.Errorf("%d copies are left after the purge", n)
	}
}
