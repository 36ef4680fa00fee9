package search

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// event is one attachment of a message. Predicates are evaluated on it, and documents are written from it.
type event struct {
	message *forensic.Message
	file    int
	conn    *connection.Connection
	own     []string // the company's own mail domains, if they are known
}

func (e *event) id() string { return e.message.EventID(e.file).String() }

func (e *event) eventID() value  { return textOf(e.id()) }
func (e *event) observed() value { return numberOf(e.message.Observed.UnixMilli()) }
func (e *event) ingested() value { return numberOf(e.message.Arrival.UnixMilli()) }
func (e *event) inserted() value { return numberOf(e.message.Stored.UnixMilli()) }
func (e *event) enriched() value {
	at := e.message.Copy.At
	return value{num: at.UnixMilli(), ok: !at.IsZero()}
}
func (e *event) detector() value { return textOf(e.conn.DisplayName) }

func (e *event) actor() value     { return textOf(e.message.Actor) }
func (e *event) messageID() value { return textOf(e.message.InternetMessageID) }
func (e *event) clientIP() value  { return textOf(e.message.ClientIP) }

// sender and from are the addresses in the message; the audit record names people by what they sign in with.
func (e *event) sender() value { return textOf(cmp.Or(e.message.Copy.Sender, e.message.Sender)) }
func (e *event) from() value   { return textOf(cmp.Or(e.message.Copy.From, e.message.From)) }

func (e *event) subject() value { return textOf(cmp.Or(e.message.Subject, e.message.Copy.Subject)) }

func (e *event) recipients() value { return value{texts: e.message.Addresses()} }

// recipientsIn returns a term's value: the recipients in a role.
func recipientsIn(role forensic.Role) func(*event) value {
	return func(e *event) value {
		var v value
		for _, r := range e.message.Copy.Recipients {
			if r.Role == role {
				v.texts = append(v.texts, r.Address)
			}
		}
		return v
	}
}

// recipientsAt returns a term's value: the recipients at some distances from the company. The sender's own domain is
// the company's.
func recipientsAt(far ...forensic.Reach) func(*event) value {
	return func(e *event) value {
		var v value
		own := append(slices.Clone(e.own), forensic.Domain(e.message.Sender))
		for _, r := range e.message.Addresses() {
			if slices.Contains(far, forensic.ReachOf(r, own)) {
				v.texts = append(v.texts, r)
			}
		}
		return v
	}
}

// untrustedDomains are the recipients' domains other than the company's own, each once and sorted. The sender's own
// is the company's.
func (e *event) untrustedDomains() value {
	sender := forensic.Domain(e.message.Sender)
	var domains []string
	for _, r := range e.message.Addresses() {
		if d := forensic.Domain(r); d != "" && d != sender && !slices.Contains(e.own, d) {
			domains = append(domains, d)
		}
	}
	slices.Sort(domains)
	return value{texts: slices.Compact(domains)}
}

// lower is strings.ToLower as Normal has it: text that is not UTF-8 is never found by what it is not.
func lower(s string) string { return strings.ToLower(strings.ToValidUTF8(s, "\ufffd")) }

// posting is the place of the event's message in streams by time observed.
func (e *event) posting() posting {
	m := e.message
	return posting{at: m.Observed, sort: forensic.TimeSort(m.Observed, m.Record), conn: e.conn, record: m.Record}
}
