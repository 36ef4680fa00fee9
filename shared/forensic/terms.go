package forensic

import (
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// MaxRecipientTerms is the number of recipients, counted from the first, by which a message is found. Exchange allows
// 1,000, and a record lists as many, possibly under other addresses. The message itself keeps all of them.
const MaxRecipientTerms = 2000

// Term is a value of a field, in the form that Normal returns.
type Term struct {
	Field Field
	Value string
}

// Terms returns all terms by which the message is found, each once. There are none for empty values.
func (m *Message) Terms() []Term {
	addresses := m.Addresses()
	terms := make([]Term, 0, 4+2*len(m.Files)+2*len(addresses))
	actor, senders := Normal(m.Actor), []string{Normal(m.Sender), Normal(m.From)}
	if m.Copy.Known() {
		senders = append(senders, Normal(m.Copy.Sender), Normal(m.Copy.From))
	}
	terms = appendTerms(terms, SenderField, senders...)
	if !slices.Contains(senders, actor) {
		terms = appendTerms(terms, ActorField, actor)
	}
	terms = appendTerms(terms, MessageIDField, Normal(m.InternetMessageID), Normal(m.Copy.MessageID))

	values := make([]string, 0, max(2*len(m.Files), len(addresses)))
	ofFiles := func(field Field, value func(*File) string, more func(*File) string) {
		values = values[:0]
		for i := range m.Files {
			values = append(values, value(&m.Files[i]))
			if found := more(&m.Files[i]); found != "" {
				values = append(values, found)
			}
		}
		terms = appendTerms(terms, field, values...)
	}
	ofFiles(NameField,
		func(f *File) string { return Normal(f.Name) },
		func(f *File) string { return Normal(f.Attachment.Name) })
	ofFiles(ExtensionField,
		func(f *File) string { return Extension(f.Name) },
		func(f *File) string { return Extension(f.Attachment.Name) })
	if m.Copy.Known() {
		none := func(*File) string { return "" }
		ofFiles(MD5Field, func(f *File) string { return Normal(f.Attachment.MD5) }, none)
		ofFiles(SHA256Field, func(f *File) string { return Normal(f.Attachment.SHA256) }, none)
		unlike := func(f *File) FileType {
			if t := TypeOf(f.Name, f.Attachment.ByBytes); t != TypeByName(f.Name) {
				return t
			}
			return FileType{}
		}
		ofFiles(TypeField,
			func(f *File) string { return Normal(unlike(f).MIME) },
			func(f *File) string { return Normal(unlike(f).Category) })
	}

	addresses = addresses[:min(len(addresses), MaxRecipientTerms)]
	values = values[:0]
	for _, r := range addresses {
		values = append(values, Normal(r))
	}
	terms = appendTerms(terms, RecipientField, values...)
	for i, r := range addresses {
		values[i] = Domain(r)
	}
	return appendTerms(terms, DomainField, values...)
}

// appendTerms appends the distinct values; it may reorder them.
func appendTerms(terms []Term, f Field, values ...string) []Term {
	slices.Sort(values)
	for i, v := range values {
		if v != "" && (i == 0 || v != values[i-1]) {
			terms = append(terms, Term{f, v})
		}
	}
	return terms
}

// Extension is what follows the last dot of a file's name, in the form that Normal returns; "" if there is no dot.
func Extension(name string) string {
	return after(name, '.')
}

// Domain is what follows the last @ of an address, in the form that Normal returns; "" if there is no @.
func Domain(address string) string {
	return after(address, '@')
}

func after(s string, last byte) string {
	at := strings.LastIndexByte(s, last)
	if at < 0 {
		return ""
	}
	return Normal(s[at+1:])
}

// The attributes of postings.
const (
	attrFileCount = "n"      // day postings: how many files the message has
	attrRecord    = "record" // arrival postings: the record's id
)

// appendPostings appends everything that m is found by: its day, its arrival, and its terms.
func appendPostings(items []table.Item, m Message, expires time.Time) []table.Item {
	items = append(items,
		dayPosting(m, expires),
		table.Item{
			Key:     table.Key{Partition: ArrivalPartition(m.Connection, m.Arrival), Sort: m.EventID(0).ArrivalSort()},
			Attrs:   table.Attrs{attrRecord: string(m.Record)},
			Expires: expires,
		})
	at := TimeSort(m.Observed, m.Record)
	for _, t := range m.Terms() {
		items = append(items, table.Item{
			Key: table.Key{
				Partition: TermPartition(m.Connection, t.Field, m.Observed, Bucket(t.Value)),
				Sort:      TermPrefix(t.Value) + at,
			},
			Expires: expires,
		})
	}
	return items
}

// dayPosting is the posting of m's day. It counts m's files.
func dayPosting(m Message, expires time.Time) table.Item {
	return table.Item{
		Key:     table.Key{Partition: DayPartition(m.Connection, m.Observed), Sort: TimeSort(m.Observed, m.Record)},
		Attrs:   table.Attrs{attrFileCount: int64(len(m.Files))},
		Expires: expires,
	}
}
