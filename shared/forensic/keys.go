package forensic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The keys of table Events. c is the connection, o the time observed, a the time of arrival, r the record's id.
//
//	access                                  partition                        sort
//	a message                               c|message|r                      message
//	what does not fit into its item         c|message|r                      part|<a>|<number>
//	the same, once it is enriched           c|message|r                      part|<a>|<generation>|<number>
//	everything, by time observed            c|all|<day of o>                 o|r
//	events of a value, by time observed     c|<field>|<month of o>|<bucket>  value␟o|r
//	values of a field (wildcards)           the same: skip from value to value
//	everything, by arrival (event ids)      c|arrival|<day of a>             a-<hash of r>     (record: r)
//	which days there are                    c|days                           observed|<day>, arrival|<day>
//	messages that wait to be enriched       c|waiting                        a-<hash of r>     (record: r; stored: when)
//	how far the sweep of those has come     c|waiting                        sweep
//	messages to be looked for again         c|looks                          <due>-<hash of r> (record: r; wanted: when)
//	mailboxes that refuse us                c|refusals                       <mailbox, lower case>
//	messages that wait for one of those     c|refused|<mailbox>              <hash of r>       (record: r)
//
// The message is written last and is the commit point: a posting without its message is ignored, and so is one that its
// message does not confirm. A value is spread over buckets so that no partition grows with the whole tenant.
const (
	timeLayout  = table.TimeLayout
	dayLayout   = "2006-01-02"
	monthLayout = "2006-01"

	// Buckets is the number of partitions over which the values of a field and month are spread.
	Buckets = 16
	// maxValue is how many bytes of a value are kept in a key. Searches verify the rest on the message.
	maxValue  = 512
	separator = "\x1f"

	messageSort = "message"
)

// Field is a field of the term index.
type Field string

// The indexed fields. Values are lower-cased.
const (
	SenderField    Field = "sender"    // Message.Sender and Message.From, and those of Message.Copy
	ActorField     Field = "actor"     // Message.Actor, unless it is sender or from
	NameField      Field = "name"      // File.Name, and Attachment.Name
	ExtensionField Field = "ext"       // of these, without the dot; "" has no posting
	MessageIDField Field = "messageid" // InternetMessageID
	RecipientField Field = "recipient" // Addresses
	DomainField    Field = "domain"    // of the Addresses
	MD5Field       Field = "md5"       // of a file's bytes
	SHA256Field    Field = "sha256"
	TypeField      Field = "type" // media type and category of a file, if TypeOf differs from what its name says
)

// MessageKey is where a message is stored.
func MessageKey(c connection.ID, r RecordID) table.Key {
	return table.Key{Partition: string(c) + "|message|" + string(r), Sort: messageSort}
}

// DayPartition holds the postings of all messages observed on t's day.
func DayPartition(c connection.ID, t time.Time) string {
	return string(c) + "|all|" + t.UTC().Format(dayLayout)
}

// ArrivalPartition holds the postings of all messages that arrived on t's day.
func ArrivalPartition(c connection.ID, t time.Time) string {
	return string(c) + "|arrival|" + t.UTC().Format(dayLayout)
}

// WaitingPartition holds a mark for each message that waits to be enriched.
func WaitingPartition(c connection.ID) string { return string(c) + "|waiting" }

// DaysPartition lists the days on which a connection has postings: DaysObserved and DaysArrival, followed by the day.
func DaysPartition(c connection.ID) string { return string(c) + "|days" }

// The two kinds of days, as prefixes of the sort key in DaysPartition.
const (
	DaysObserved = "observed|"
	DaysArrival  = "arrival|"
)

// TermPartition holds the postings of a field's values of one month and bucket.
func TermPartition(c connection.ID, f Field, month time.Time, bucket int) string {
	key := make([]byte, 0, len(c)+len(f)+len("||2006-01|f"))
	key = append(key, c...)
	key = append(key, '|')
	key = append(key, f...)
	key = append(key, '|')
	key = month.UTC().AppendFormat(key, monthLayout)
	key = append(key, '|')
	return string(strconv.AppendInt(key, int64(bucket), 16))
}

// Bucket returns the bucket of a field's value, 0 to Buckets-1. value is in the form that Normal returns.
func Bucket(value string) int {
	const offset, prime = 2166136261, 16777619 // 32-bit FNV-1a
	h := uint32(offset)
	for i := range len(value) {
		h = (h ^ uint32(value[i])) * prime
	}
	return int(h % Buckets)
}

// Normal returns a value in the form that it has in a key: lower case, valid UTF-8, without the separator, cut at
// maxValue bytes.
func Normal(value string) string {
	v := strings.ReplaceAll(strings.ToLower(strings.ToValidUTF8(value, "�")), separator, " ")
	if len(v) <= maxValue {
		return v
	}
	v = v[:maxValue]
	for !utf8.ValidString(v) {
		v = v[:len(v)-1]
	}
	return v
}

// TermPrefix is the beginning of the sort keys of a value's postings.
func TermPrefix(value string) string { return value + separator }

// TimeSort is the sort key of a posting by time observed. With r "" it bounds a range at t.
func TimeSort(t time.Time, r RecordID) string {
	key := make([]byte, 0, len(timeLayout)+1+len(r))
	key = t.UTC().AppendFormat(key, timeLayout)
	if r != "" {
		key = append(key, '|')
		key = append(key, r...)
	}
	return string(key)
}

// SplitTimeSort reverses TimeSort.
func SplitTimeSort(s string) (time.Time, RecordID, error) {
	at, record, ok := strings.Cut(s, "|")
	t, err := time.Parse(timeLayout, at)
	if !ok || err != nil {
		return time.Time{}, "", fmt.Errorf("posting %q has no time and record", s)
	}
	return t, RecordID(record), nil
}

// SplitTermSort splits a term posting's sort key into its value and its TimeSort.
func SplitTermSort(s string) (value, timeSort string, ok bool) {
	return strings.Cut(s, separator)
}

// EventID names one file event permanently (Incydr: event.id). It sorts by arrival: time, connection, message, file.
type EventID struct {
	Arrival    time.Time
	Connection connection.ID
	Hash       string // of the record's id: 16 hex digits
	File       int    // index in Message.Files
}

// Hash is the short name of a record in event ids and arrival postings.
func (r RecordID) Hash() string {
	sum := sha256.Sum256([]byte(r))
	return hex.EncodeToString(sum[:8])
}

// EventID names the message's i-th file event.
func (m Message) EventID(i int) EventID {
	return EventID{Arrival: m.Arrival, Connection: m.Connection, Hash: m.Record.Hash(), File: i}
}

// String is the wire form, joined by "-": arrival in milliseconds as 12 hex digits, connection, hash, file as 4 hex
// digits.
func (e EventID) String() string {
	id := make([]byte, 0, 12+1+len(e.Connection)+1+len(e.Hash)+1+4)
	id = appendHex(id, e.Arrival.UnixMilli(), 12)
	id = append(id, '-')
	id = append(id, e.Connection...)
	id = append(id, '-')
	id = append(id, e.Hash...)
	id = append(id, '-')
	return string(appendHex(id, int64(e.File), 4))
}

// ArrivalSort is the sort key of the message's posting in ArrivalPartition.
func (e EventID) ArrivalSort() string {
	key := make([]byte, 0, 12+1+len(e.Hash))
	key = appendHex(key, e.Arrival.UnixMilli(), 12)
	key = append(key, '-')
	return string(append(key, e.Hash...))
}

// appendHex appends n, which must not be negative, in at least width hex digits.
func appendHex(b []byte, n int64, width int) []byte {
	var digits [16]byte
	hex := strconv.AppendInt(digits[:0], n, 16)
	for range width - len(hex) {
		b = append(b, '0')
	}
	return append(b, hex...)
}

// ParseEventID reverses String.
func ParseEventID(s string) (EventID, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 4 || len(parts[0]) != 12 || len(parts[2]) != 16 || len(parts[3]) != 4 {
		return EventID{}, fmt.Errorf("%q is not an event id", s)
	}
	ms, err := strconv.ParseInt(parts[0], 16, 64)
	if err != nil {
		return EventID{}, fmt.Errorf("%q is not an event id: its time is not hexadecimal", s)
	}
	if _, err := hex.DecodeString(parts[2]); err != nil {
		return EventID{}, fmt.Errorf("%q is not an event id: its hash is not hexadecimal", s)
	}
	file, err := strconv.ParseUint(parts[3], 16, 16)
	if err != nil {
		return EventID{}, fmt.Errorf("%q is not an event id: its file is not hexadecimal", s)
	}
	id := EventID{
		Arrival:    time.UnixMilli(ms).UTC(),
		Connection: connection.ID(parts[1]),
		Hash:       parts[2],
		File:       int(file),
	}
	if id.String() != s { // upper case, a sign
		return EventID{}, fmt.Errorf("%q is not an event id: one is written otherwise", s)
	}
	return id, nil
}
