package search

import (
	"cmp"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

// sentTerms are our own terms: who sent the message, as what, with what, and from where. No index answers them, so that
// a search by them alone reads the time that it asks for.
func sentTerms() []term {
	return []term{
		{name: "event.operation", get: ofMessage(func(m *forensic.Message) string { return m.Operation })},
		{name: "event.recordId", always: true, get: ofMessage(func(m *forensic.Message) string { return string(m.Record) })},
		{name: "event.matchedBy", get: ofMessage(matchedBy)},
		{name: "event.sentBy", get: ofMessage((*forensic.Message).SentBy)},
		{name: "user.principal", get: ofMessage(func(m *forensic.Message) string { return m.UserID })},
		{name: "user.key", get: ofMessage(func(m *forensic.Message) string { return m.UserKey })},
		{name: "user.type", get: ofMessage(func(m *forensic.Message) string { return string(m.UserType) })},
		{name: "user.coverage", get: ofMessage(func(m *forensic.Message) string { return m.Coverage })},
		{name: "source.mailbox", get: ofMessage(func(m *forensic.Message) string { return m.Mailbox })},
		{name: "source.mailboxGuid", get: ofMessage(func(m *forensic.Message) string { return m.MailboxGUID })},
		{name: "source.application.id", get: ofMessage(func(m *forensic.Message) string { return m.AppID })},
		{name: "source.application.name", get: ofMessage(applicationName)},
		{name: "source.application.service", get: ofMessage(func(m *forensic.Message) string { return m.Service })},
		{name: "source.client", get: ofMessage(func(m *forensic.Message) string { return m.Client })},
		{name: "source.session", get: ofMessage(func(m *forensic.Message) string { return m.Session })},
		{name: "source.logonType", get: ofMessage(func(m *forensic.Message) string { return string(m.LogonType) })},
		{name: "source.externalAccess", kind: boolean, get: (*event).externalAccess},
		{name: "source.actorIp", get: ofMessage(func(m *forensic.Message) string { return m.ActorIP })},
		{name: "source.device", get: ofMessage(func(m *forensic.Message) string { return m.DeviceID })},
		{name: "source.folder", get: ofMessage(func(m *forensic.Message) string { return m.Folder })},
		{name: "source.itemId", get: ofMessage(func(m *forensic.Message) string { return m.ItemID })},
		{name: "source.immutableId", get: ofMessage(func(m *forensic.Message) string { return m.ImmutableID })},
		{name: "source.sensitivity", get: ofMessage(func(m *forensic.Message) string { return m.Sensitivity })},
		{name: "source.savedToSent", kind: boolean, get: (*event).savedToSent},
	}
}

// ofMessage returns the value of a term that is a text of the message.
func ofMessage(of func(*forensic.Message) string) func(*event) value {
	return func(e *event) value { return textOf(of(e.message)) }
}

func applicationName(m *forensic.Message) string { return forensic.ApplicationName(m.AppID) }

// matchedBy is by what the message was found in a mailbox, "" if it was not.
func matchedBy(m *forensic.Message) string {
	if !m.Copy.Known() {
		return ""
	}
	return string(cmp.Or(m.Copy.MatchedBy, forensic.ByMessageID))
}

func (e *event) externalAccess() value { return truthOf(e.message.ExternalAccess) }
func (e *event) savedToSent() value    { return truthOf(e.message.SavedToSent) }

func truthOf(is *bool) value {
	switch {
	case is == nil:
		return value{}
	case *is:
		return numberOf(1)
	}
	return numberOf(0)
}
