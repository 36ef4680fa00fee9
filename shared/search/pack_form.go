package search

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/segment"
)

// What every segment has beside the terms. These names begin with "#", as no term does.
const (
	extensionField = "#ext"     // what follows the last dot of file.name, so that *.pdf need not look at every name
	recordField    = "#record"  // the record's id: its 16 bytes where it is a GUID, else its text; orders rows of one time
	hashColumn     = "#hash"    // of the record's id, as in event ids; its order is that of the hexadecimal text
	expiresColumn  = "#expires" // when the message stops being stored, in seconds
)

// absent stands in a column for a value that is missing.
const absent = math.MinInt64

// packForm is how the terms of an event lie in the rows of a segment.
type packForm struct {
	segment.Schema
	fields  []*term // of the schema's fields, but for the last two
	columns []*term // of the schema's columns, but for the last two
	own     map[*term]bool
}

// unpacked are terms that no segment has: what is asked of them is answered without segments. The first three have a
// place of their own in a segment or a connection; the others are long, differ for every event, and nobody looks for a
// part of them.
func unpacked(name string) bool {
	switch name {
	case "@timestamp", "event.id", "event.detectorDisplayName", "file.id", "file.url":
		return true
	}
	return false
}

// inParts reports whether people search for parts of a term.
func inParts(name string) bool {
	return strings.HasPrefix(name, "destination.email.") || strings.HasPrefix(name, "source.email.") ||
		slices.Contains([]string{"file.name", "file.originalName", "user.email", "risk.untrustedValues.domains"}, name)
}

// ofCompany reports whether a term depends on which domains are the company's own.
func ofCompany(name string) bool {
	return slices.Contains([]string{
		"destination.email.external", "destination.email.webmail", "risk.untrustedValues.domains",
	}, name)
}

// thePackForm is made once of the table of terms, and never changes. A new term is a row of that table, and nothing
// else.
var thePackForm = sync.OnceValue(func() packForm {
	f := packForm{own: map[*term]bool{}}
	all := theSchema().list
	for i := range all {
		t := &all[i]
		if t.get == nil || t.constant || unpacked(t.name) {
			continue
		}
		f.own[t] = ofCompany(t.name)
		if t.kind != text {
			f.columns = append(f.columns, t)
			f.Columns = append(f.Columns, t.name)
			continue
		}
		f.fields = append(f.fields, t)
		f.Fields = append(f.Fields, segment.Field{Name: t.name, Parts: inParts(t.name), Ordinals: t.shape == scalar})
	}
	f.Fields = append(f.Fields,
		segment.Field{Name: extensionField, Ordinals: true}, segment.Field{Name: recordField, Ordinals: true})
	f.Columns = append(f.Columns, hashColumn, expiresColumn)
	f.Key = recordField
	return f
})

// recordTerm is a record's id as a term.
func recordTerm(r forensic.RecordID) string {
	plain := strings.ReplaceAll(string(r), "-", "")
	if b, err := hex.DecodeString(plain); err == nil && len(b) == 16 && recordOf(string(b)) == r {
		return string(b)
	}
	return string(r)
}

// recordOf undoes recordTerm.
func recordOf(term string) forensic.RecordID {
	if len(term) != 16 {
		return forensic.RecordID(term)
	}
	return forensic.RecordID(fmt.Sprintf("%x-%x-%x-%x-%x", term[:4], term[4:6], term[6:8], term[8:10], term[10:]))
}

// hashNumber is the hash in an event id as a number of the same order.
func hashNumber(hash string) int64 {
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b) ^ 1<<63)
}

// row is an event as a row. long reports whether a value was too long to stand in it whole.
func (f packForm) row(e *event) (row segment.Row, long bool) {
	row = segment.Row{Time: e.message.Observed.UnixMilli(), Part: e.file}
	row.Terms = make([][]string, 0, len(f.Fields))
	for _, t := range f.fields {
		v := t.of(e)
		all := v.texts
		if v.ok {
			all = []string{v.text}
		}
		terms := make([]string, len(all))
		for i, s := range all {
			if terms[i] = lower(s); len(terms[i]) > segment.MaxTerm {
				terms[i], long = terms[i][:segment.MaxTerm], true
			}
		}
		row.Terms = append(row.Terms, terms)
	}
	var extension []string
	if name := lower(e.message.Files[e.file].Name); strings.Contains(name, ".") {
		cut := name[strings.LastIndexByte(name, '.')+1:]
		extension = []string{cut[:min(len(cut), segment.MaxTerm)]}
	}
	row.Terms = append(row.Terms, extension, []string{recordTerm(e.message.Record)})
	row.Numbers = make([]int64, 0, len(f.Columns))
	for _, t := range f.columns {
		n := int64(absent)
		if v := t.of(e); v.ok {
			n = v.num
		}
		row.Numbers = append(row.Numbers, n)
	}
	expires := int64(math.MaxInt64)
	if !e.message.Expires.IsZero() {
		expires = e.message.Expires.Unix()
	}
	row.Numbers = append(row.Numbers, hashNumber(e.message.Record.Hash()), expires)
	return row, long
}

// companyDigest names a set of domains.
func companyDigest(own []string) string {
	sorted := slices.Clone(own)
	slices.Sort(sorted)
	sum := sha256.Sum256([]byte(strings.Join(sorted, "\n")))
	return hex.EncodeToString(sum[:8])
}
