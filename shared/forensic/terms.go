package forensic

import (
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// MaxRecipientTerms is by how many recipients, the first ones, a message is found; Microsoft lists 1,000 at most. All
// of them stand in the message.
const MaxRecipientTerms = 1000

// Term is a value of a field, as Normal gives it.
type Term struct {
	Field Field
	Value string
}

// Terms are all terms that the message is found by, each once. There are none of empty values.
func (m Message) Terms() []Term {
	terms := make([]Term, 0, 4+2*len(m.Files)+2*len(m.Recipients))
	actor, sender, from := Normal(m.Actor), Normal(m.Sender), Normal(m.From)
	terms = appendTerms(terms, SenderField, sender, from)
	if actor != sender && actor != from {
		terms = appendTerms(terms, ActorField, actor)
	}
	terms = appendTerms(terms, MessageIDField, Normal(m.InternetMessageID))

	values := make([]string, 0, max(len(m.Files), len(m.Recipients)))
	for _, f := range m.Files {
		values = append(values, Normal(f.Name))
	}
	terms = appendTerms(terms, NameField, values...)
	for i, f := range m.Files {
		values[i] = Extension(f.Name)
	}
	terms = appendTerms(terms, ExtensionField, values...)

	recipients := m.Recipients[:min(len(m.Recipients), MaxRecipientTerms)]
	values = values[:0]
	for _, r := range recipients {
		values = append(values, Normal(r))
	}
	terms = appendTerms(terms, RecipientField, values...)
	for i, r := range recipients {
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

// Extension is what follows the last dot of a file's name, as Normal gives it; "" when there is no dot.
func Extension(name string) string {
	return after(name, '.')
}

// Domain is what follows the last @ of an address, as Normal gives it; "" when there is no @.
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

// appendPostings appends all that m is found by: its day, its arrival, and its terms.
func appendPostings(items []table.Item, m Message, expires time.Time) []table.Item {
	at := TimeSort(m.Observed, m.Record)
	items = append(items,
		table.Item{
			Key:     table.Key{Partition: DayPartition(m.Connection, m.Observed), Sort: at},
			Attrs:   table.Attrs{attrFileCount: int64(len(m.Files))},
			Expires: expires,
		},
		table.Item{
			Key:     table.Key{Partition: ArrivalPartition(m.Connection, m.Arrival), Sort: m.EventID(0).ArrivalSort()},
			Attrs:   table.Attrs{attrRecord: string(m.Record)},
			Expires: expires,
		})
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
