package search

import (
	"strings"
	"sync"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

// kind is what the values of a term are.
type kind int

const (
	text    kind = iota // compared ignoring case, with wildcards
	number              // whole numbers
	moment              // times, in milliseconds
	boolean             // true or false
)

func (k kind) String() string { return [...]string{"text", "number", "time", "boolean"}[k] }

// shape is how the document shows a term.
type shape int

const (
	scalar shape = iota // a value, or null
	list                // an array, which may be empty
	column              // in each object of the array of objects that is its parent
	hidden              // not shown, only searched
)

// term is a property of events (Incydr: search term).
type term struct {
	name  string
	kind  kind
	shape shape
	// get returns the term's value; nil for a term that mail never has, which is missing in every event.
	get func(*event) value
	// constant: get returns the same for every event. always: it returns a value for every event.
	constant, always bool
}

// value is what a term is for one event. The zero value is missing.
type value struct {
	text  string
	texts []string
	num   int64   // a number; a time as Unix milliseconds; 1 for true
	nums  []int64 // numbers of a column
	ok    bool    // there is a value, in text or num
}

func textOf(s string) value {
	return value{text: s, ok: s != ""}
}

func numberOf(n int64) value { return value{num: n, ok: true} }

// missing reports whether there is no value at all.
func (v value) missing() bool { return !v.ok && len(v.texts) == 0 && len(v.nums) == 0 }

// schema is the table of terms, prepared for look-up by name and for writing documents.
type schema struct {
	list  []term // in the order of the document
	terms map[string]*term
	root  *node
}

// theSchema is built once and never changes.
var theSchema = sync.OnceValue(func() schema {
	all := allTerms()
	s := schema{list: all, terms: make(map[string]*term, len(all)), root: &node{}}
	for i := range all {
		s.terms[all[i].name] = &all[i]
		s.root.add(&all[i], strings.Split(all[i].name, "."))
	}
	s.root.settle()
	return s
})

// foreignFamily reports whether a term belongs to a family that mail never has, whatever follows the family's name.
func foreignFamily(name string) bool {
	for _, family := range []string{"file.acquiredFrom.", "event.relatedEvents.", "responseControls.", "user.groups."} {
		if rest, ok := strings.CutPrefix(name, family); ok && rest != "" {
			return true
		}
	}
	return false
}

// lookup finds a term by Incydr's name.
func (s schema) lookup(name string) (*term, bool) {
	if t, ok := s.terms[name]; ok {
		return t, true
	}
	if foreignFamily(name) {
		return &term{name: name, shape: hidden}, true
	}
	return nil, false
}

// allTerms are Incydr's terms in the order of the document, and our own: event.enriched, file.hash.quickXor,
// file.attachment, source.email.messageId, destination.email.recipientsError, to, cc, bcc, external and webmail.
func allTerms() []term {
	terms := []term{{name: "@timestamp", kind: moment, always: true, get: (*event).observed}}
	terms = append(terms, eventTerms()...)
	terms = append(terms, fileTerms()...)
	terms = append(terms, sideTerms("source")...)
	terms = append(terms, sourceTerms()...)
	terms = append(terms, sideTerms("destination")...)
	terms = append(terms, destinationTerms()...)
	terms = append(terms, otherTerms()...)
	terms = append(terms, sentTerms()...)
	return append(terms, riskTerms()...)
}

func eventTerms() []term {
	return []term{
		{name: "event.id", always: true, get: (*event).eventID},
		{name: "event.inserted", kind: moment, always: true, get: (*event).inserted},
		{name: "event.ingested", kind: moment, always: true, get: (*event).ingested},
		{name: "event.enriched", kind: moment, get: (*event).enriched},
		fixed("event.action", "file-emailed"),
		fixed("event.observer", "Office365"),
		{name: "event.detectorDisplayName", get: (*event).detector},
		{name: "event.shareType", shape: list},
		fixed("event.vector", "EMAILED"),
		{name: "event.relatedEvents", shape: list},
		{name: "user.email", get: (*event).actor},
		{name: "user.id"},
		{name: "user.deviceUid"},
	}
}

func fileTerms() []term {
	return []term{
		{name: "file.name", get: (*event).fileName},
		{name: "file.originalName", get: (*event).originalName},
		{name: "file.directory"},
		{name: "file.originalDirectory"},
		{name: "file.category", get: (*event).category},
		{name: "file.categoryByBytes", get: (*event).categoryByBytes},
		{name: "file.categoryByExtension", get: (*event).categoryByExtension},
		{name: "file.mimeType", get: (*event).mimeType},
		{name: "file.mimeTypeByBytes", get: ofAttached(func(a *forensic.Attachment) string { return a.ByBytes })},
		{name: "file.mimeTypeByExtension", get: (*event).mimeTypeByExtension},
		{name: "file.sizeInBytes", kind: number, get: (*event).size},
		{name: "file.owner"},
		{name: "file.created", kind: moment},
		{name: "file.modified", kind: moment},
		{name: "file.hash.md5", get: ofAttached(func(a *forensic.Attachment) string { return a.MD5 })},
		{name: "file.hash.sha256", get: ofAttached(func(a *forensic.Attachment) string { return a.SHA256 })},
		{name: "file.hash.md5Error", get: (*event).noHash},
		{name: "file.hash.sha256Error", get: (*event).noHash},
		{name: "file.hash.quickXor", get: ofAttached(func(a *forensic.Attachment) string { return a.QuickXor })},
		{name: "file.attachment.kind", get: ofAttached(func(a *forensic.Attachment) string { return string(a.Kind) })},
		{name: "file.attachment.isInline", kind: boolean, get: (*event).inline},
		{name: "file.attachment.missing", get: ofAttached(func(a *forensic.Attachment) string { return string(a.Missing) })},
		{name: "file.id", get: ofAttached(func(a *forensic.Attachment) string { return a.ID })},
		{name: "file.url", get: ofAttached(func(a *forensic.Attachment) string { return a.URL })},
		{name: "file.directoryId", shape: list},
		{name: "file.cloudDriveId"},
		{name: "file.classifications.value", shape: column},
		{name: "file.classifications.vendor", shape: column},
		{name: "file.acquiredFrom", shape: list},
		{name: "file.changeType"},
		{name: "file.archiveId"},
		{name: "file.parentArchiveId"},
		{name: "file.passwordProtected", kind: boolean},
	}
}

// sideTerms are those that source and destination share.
func sideTerms(side string) []term {
	terms := []term{
		fixed("category", "Email"),
		fixed("name", "Microsoft Office 365"),
		{name: "user.email", shape: list},
		{name: "ip"},
		{name: "privateIp", shape: list},
		{name: "operatingSystem"},
		{name: "removableMedia.vendor"},
		{name: "removableMedia.name"},
		{name: "removableMedia.serialNumber"},
		{name: "removableMedia.capacity", kind: number},
		{name: "removableMedia.busType"},
		{name: "removableMedia.mediaName"},
		{name: "removableMedia.volumeName", shape: list},
		{name: "removableMedia.partitionId", shape: list},
		{name: "tabs.title", shape: column},
		{name: "tabs.titleError", shape: column},
		{name: "tabs.url", shape: column},
		{name: "tabs.urlError", shape: column},
		{name: "accountName"},
		{name: "accountType"},
		{name: "domains", shape: list},
		{name: "remoteHostname"},
		{name: "identifiers", shape: hidden},
		{name: "identifier.id", shape: hidden},
	}
	for i := range terms {
		terms[i].name = side + "." + terms[i].name
		if terms[i].name == "source.ip" {
			terms[i].get = (*event).clientIP
		}
	}
	return terms
}

func sourceTerms() []term {
	return []term{
		{name: "source.domain"},
		{name: "source.email.sender", get: (*event).sender},
		{name: "source.email.from", get: (*event).from},
		{name: "source.email.messageId", get: (*event).messageID},
	}
}

func destinationTerms() []term {
	return []term{
		{name: "destination.email.recipients", shape: list, get: (*event).recipients},
		{name: "destination.email.recipientsError", get: (*event).noRecipients},
		{name: "destination.email.to", shape: list, get: recipientsIn(forensic.To)},
		{name: "destination.email.cc", shape: list, get: recipientsIn(forensic.Cc)},
		{name: "destination.email.bcc", shape: list, get: recipientsIn(forensic.Bcc)},
		{name: "destination.email.external", shape: list, get: recipientsAt(forensic.External, forensic.Webmail)},
		{name: "destination.email.webmail", shape: list, get: recipientsAt(forensic.Webmail)},
		{name: "destination.email.subject", get: (*event).subject},
		{name: "destination.printJobName"},
		{name: "destination.printerName"},
		{name: "destination.printedFilesBackupPath"},
	}
}

func otherTerms() []term {
	return []term{
		{name: "process.executable"},
		{name: "process.owner"},
		{name: "process.extension.browser"},
		{name: "process.extension.version"},
		{name: "process.extension.loggedInUser"},
		{name: "report.id"},
		{name: "report.name"},
		{name: "report.description"},
		{name: "report.headers", shape: list},
		{name: "report.count", kind: number},
		{name: "report.type"},
		{name: "git.eventId"},
		{name: "git.lastCommitHash"},
		{name: "git.repositoryEmail"},
		{name: "git.repositoryEndpointPath"},
		{name: "git.repositoryUri"},
		{name: "git.repositoryUser"},
		{name: "responseControls.preventativeControl"},
		{name: "responseControls.userJustification.reason"},
		{name: "responseControls.userJustification.text"},
	}
}

// The only risk indicator of mail. Its weight is our choice, because Incydr's default is not published: with 2 the
// official command line's default filter, risk.score above 1, shows every mail.
const (
	indicator       = "Sent from corporate Microsoft Office 365"
	indicatorWeight = 2
	severity        = "LOW" // of scores 1 to 3
)

func riskTerms() []term {
	weights := []int64{indicatorWeight}
	return []term{
		{name: "risk.score", kind: number, constant: true, get: func(*event) value { return numberOf(indicatorWeight) }},
		fixed("risk.severity", severity),
		fixedColumn("risk.indicators.id", indicator),
		fixedColumn("risk.indicators.name", indicator),
		{name: "risk.indicators.weight", kind: number, shape: column, constant: true,
			get: func(*event) value { return value{nums: weights} }},
		{name: "risk.trusted", kind: boolean, constant: true, get: func(*event) value { return numberOf(0) }},
		{name: "risk.trustReason"},
		{name: "risk.untrustedValues.accountNames", shape: list},
		{name: "risk.untrustedValues.domains", shape: list, get: (*event).untrustedDomains},
		{name: "risk.untrustedValues.gitRepositoryUris", shape: list},
		{name: "risk.untrustedValues.slackWorkspaces", shape: list},
		{name: "risk.untrustedValues.urlPaths", shape: list},
	}
}

// fixed is a term that has the same value for every mail.
func fixed(name, says string) term {
	return term{name: name, constant: true, get: func(*event) value { return textOf(says) }}
}

func fixedColumn(name, says string) term {
	all := []string{says}
	return term{name: name, shape: column, constant: true, get: func(*event) value { return value{texts: all} }}
}
