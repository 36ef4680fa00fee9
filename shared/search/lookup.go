package search

import (
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

// lookup is what of the term index covers a predicate: every message of a match has one of the terms, or a value of a
// field that a pattern matches. The whole query is evaluated on what is found, so that it may be more.
type lookup struct {
	terms []forensic.Term
	wild  []wildcard
	ids   []string // event ids
}

// wildcard asks for all values of a field that a pattern matches.
type wildcard struct {
	field   forensic.Field
	pattern pattern
}

// able reports whether the lookup can be had, without or also with wildcards.
func (l lookup) able(wild bool) bool { return wild || len(l.wild) == 0 }

// lookups are the ways to find the predicate's matches, any one of which is enough; none when the index knows none.
func (p *predicate) lookups() []lookup {
	if p.term.kind != text || (p.operator != Is && p.operator != IsAny) {
		return nil
	}
	var l lookup
	for _, v := range p.patterns {
		if !l.cover(p.term.name, v) {
			return nil
		}
	}
	if p.term.name == "file.name" && len(p.patterns) == 1 && len(l.wild) == 0 && p.patterns[0].wild &&
		p.patterns[0].head() != "" {
		byName := lookup{wild: []wildcard{{forensic.NameField, p.patterns[0]}}}
		return []lookup{l, byName}
	}
	return []lookup{l}
}

// cover adds what covers one pattern of a term.
func (l *lookup) cover(term string, v pattern) bool {
	switch term {
	case "source.email.sender", "source.email.from":
		return l.values(v, forensic.SenderField)
	case "user.email": // the actor has postings of its own only where it is neither sender nor from
		return l.values(v, forensic.ActorField, forensic.SenderField)
	case "source.email.messageId":
		return l.values(v, forensic.MessageIDField)
	case "file.name":
		if v.wild && strings.Contains(v.tail(), ".") && l.term(forensic.ExtensionField, forensic.Extension(v.tail())) {
			return true
		}
		return l.values(v, forensic.NameField)
	case "file.originalName":
		return l.values(v, forensic.NameField)
	case "file.hash.md5":
		return l.values(v, forensic.MD5Field)
	case "file.hash.sha256":
		return l.values(v, forensic.SHA256Field)
	case "file.category":
		return l.types(v, categoryOf) && l.values(v, forensic.TypeField)
	case "file.categoryByExtension":
		return l.types(v, categoryOf)
	case "file.mimeType":
		return l.types(v, mimeOf) && l.values(v, forensic.TypeField)
	case "file.mimeTypeByExtension":
		return l.types(v, mimeOf)
	case "destination.email.recipients", "destination.email.to", "destination.email.cc", "destination.email.bcc",
		"destination.email.external", "destination.email.webmail":
		if v.wild && l.term(forensic.DomainField, forensic.Domain(v.tail())) {
			return true
		}
		return l.values(v, forensic.RecipientField)
	case "risk.untrustedValues.domains":
		return l.values(v, forensic.DomainField)
	case "event.id":
		l.ids = append(l.ids, v.literal)
		return !v.wild
	}
	return false
}

// term adds a term, unless its value is empty, which has no postings.
func (l *lookup) term(f forensic.Field, value string) bool {
	if value == "" {
		return false
	}
	if t := (forensic.Term{Field: f, Value: value}); !slices.Contains(l.terms, t) {
		l.terms = append(l.terms, t)
	}
	return true
}

// values adds the values of the fields that v matches. A pattern without any literal character matches all there are,
// and one with the separator of keys cannot be compared with what stands in keys.
func (l *lookup) values(v pattern, fields ...forensic.Field) bool {
	for _, f := range fields {
		switch {
		case !v.wild:
			if !l.term(f, forensic.Normal(v.literal)) {
				return false
			}
		case v.blank() || v.separated():
			return false
		default:
			l.wild = append(l.wild, wildcard{f, v})
		}
	}
	return true
}

func categoryOf(t forensic.FileType) string { return t.Category }
func mimeOf(t forensic.FileType) string     { return t.MIME }

// types adds the extensions of the file types that v matches. Files of no known type have any extension or none.
func (l *lookup) types(v pattern, of func(forensic.FileType) string) bool {
	if v.match(lower(of(forensic.TypeByName("")))) {
		return false
	}
	for extension, t := range forensic.Extensions() {
		if says := of(t); says != "" && v.match(lower(says)) {
			l.term(forensic.ExtensionField, extension)
		}
	}
	return true
}
