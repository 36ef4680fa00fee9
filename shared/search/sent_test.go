package search

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

const mailer = "c8b1d3f2-5555-4e6f-8a9b-0c1d2e3f4a5b"

// sentByAnApplication is a send as Microsoft records it for an application with its own permissions: the user is the
// owner of the mailbox, and only the user's type and key show the difference.
func sentByAnApplication() mail {
	return mail{
		record: "4f2c1e1a-93c7-4b1d-8e44-08d90119aa01", at: start.Add(-time.Hour), user: "sales@corp.example",
		files: "loot.zip (10b)",
		facts: map[string]any{
			"UserType": 5, "UserKey": mailer, "LogonType": 0, "ExternalAccess": false, "SaveToSentItems": true,
			"MailboxGuid": "0d5c7a0e-2222-4c3d-8e9f-a0b1c2d3e4f5", "AppId": "00000003-0000-0000-c000-000000000000",
			"ClientInfoString": "Client=REST;Client=RESTSystem;;", "ActorIP": "203.0.113.9",
			"DeviceId":         "8d6c2a11-8888-4b7c-9d0e-1f2a3b4c5d6e",
			"AppAccessContext": map[string]any{"AADSessionId": "e1a2b3c4-6666-4f5e-9d8c-7b6a5f4e3d2c"},
			"Item": map[string]any{
				"Attachments": "loot.zip (10b)", "Id": "RgAAAAD4", "ImmutableId": "LgAAAAD4", "Sensitivity": "Private",
				"ParentFolder": map[string]any{"Path": `\Drafts`},
			},
		},
	}
}

// What somebody needs who asks who did it is in the event, and can be asked for.
func TestWhoDidItIsShownAndFound(t *testing.T) {
	o := newOffice(t)
	o.deliver(sentByAnApplication(), mail{
		record: "4f2c1e1a-93c7-4b1d-8e44-08d90119aa02", at: start.Add(-time.Hour), user: "alice@corp.example",
		files:     "a.txt (1b)",
		operation: "SendAs", owner: "boss@corp.example",
		facts: map[string]any{"UserType": 0, "UserKey": "10032001", "LogonType": 2, "ExternalAccess": true},
	})
	application := o.documentOf("loot.zip")
	for term, want := range map[string]any{
		"user.email":                 "sales@corp.example", // as Microsoft reports it
		"user.principal":             "sales@corp.example",
		"user.key":                   mailer,
		"user.type":                  "application",
		"event.operation":            "Send",
		"event.recordId":             "4f2c1e1a-93c7-4b1d-8e44-08d90119aa01",
		"event.sentBy":               "application " + mailer + " in sales@corp.example's mailbox",
		"source.mailbox":             "sales@corp.example",
		"source.mailboxGuid":         "0d5c7a0e-2222-4c3d-8e9f-a0b1c2d3e4f5",
		"source.application.id":      mailer,
		"source.application.service": "00000003-0000-0000-c000-000000000000",
		"source.client":              "Client=REST;Client=RESTSystem;;",
		"source.session":             "e1a2b3c4-6666-4f5e-9d8c-7b6a5f4e3d2c",
		"source.logonType":           "owner",
		"source.actorIp":             "203.0.113.9",
		"source.device":              "8d6c2a11-8888-4b7c-9d0e-1f2a3b4c5d6e",
		"source.folder":              `\Drafts`,
		"source.itemId":              "RgAAAAD4",
		"source.immutableId":         "LgAAAAD4",
		"source.sensitivity":         "Private",
	} {
		if got := application.values(term); !slices.Equal(got, []any{want}) {
			t.Errorf("%s is %v, want %v", term, got, want)
		}
		if term == "user.email" || term == "event.operation" {
			continue
		}
		want := want
		filter := fmt.Sprintf(`{"term":%q,"operator":"IS","value":%s}`, term, must(json.Marshal(want)))
		found := o.ask(`{"srtKey":"@timestamp","groups":[{"filters":[` + filter + `]}]}`).ids()
		if !slices.Contains(found, application.values("event.id")[0].(string)) {
			t.Errorf("%s: found %v", filter, found)
		}
	}
	for filter, want := range map[string]string{
		`{"term":"source.externalAccess","operator":"IS","value":"TRUE"}`:                 "a.txt",
		`{"term":"source.externalAccess","operator":"IS","value":"FALSE"}`:                "loot.zip",
		`{"term":"source.savedToSent","operator":"IS","value":"TRUE"}`:                    "loot.zip",
		`{"term":"source.savedToSent","operator":"DOES_NOT_EXIST"}`:                       "a.txt",
		`{"term":"event.operation","operator":"IS","value":"SendAs"}`:                     "a.txt",
		`{"term":"user.type","operator":"IS_NOT","value":"regular"}`:                      "loot.zip",
		`{"term":"event.sentBy","operator":"IS","value":"*in boss@*"}`:                    "a.txt",
		`{"term":"source.application.id","operator":"DOES_NOT_EXIST"}`:                    "a.txt",
		`{"term":"source.application.id","operator":"IS_ANY","value":["` + mailer + `"]}`: "loot.zip",
	} {
		found := o.ask(`{"groups":[{"filters":[` + filter + `]}]}`).ids()
		if !slices.Equal(found, []string{o.documentOf(want).values("event.id")[0].(string)}) {
			t.Errorf("%s: found %v, want the event of %s", filter, found, want)
		}
	}
}

// documentOf is the document of the only event with a file of that name, as a client gets it.
func (o *office) documentOf(file string) document {
	o.t.Helper()
	p := o.ask(fmt.Sprintf(`{"groups":[{"filters":[{"term":"file.name","operator":"IS","value":%q}]}]}`, file))
	if len(p.FileEvents) != 1 {
		o.t.Fatalf("%d events of %s", len(p.FileEvents), file)
	}
	var d document
	if err := json.Unmarshal(p.FileEvents[0], &d.fields); err != nil {
		o.t.Fatal(err)
	}
	return d
}
