package forensic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
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
//	everything, by time observed            c|all|<day of o>                 o|r
//	events of a value, by time observed     c|<field>|<month of o>|<bucket>  value␟o|r
//	values of a field (wildcards)           the same: skip from value to value
//	everything, by arrival (event ids)      c|arrival|<day of a>             a-<hash of r>     (record: r)
//	which days there are                    c|days                           observed|<day>, arrival|<day>
//
// The message is written last and is the commit point: a posting without its message is ignored, and so is one that its
// message does not confirm. A value is spread over buckets so that no partition grows with the whole tenant.
const (
	timeLayout  = "2006-01-02T15:04:05.000Z"
	dayLayout   = "2006-01-02"
	monthLayout = "2006-01"

	// Buckets is over how many partitions the values of a field and month are spread.
	Buckets = 16
	// maxValue is how many bytes of a value stand in a key; searches verify the rest on the message.
	maxValue  = 512
	separator = "\x1f"
)

// Field is a field of the term index.
type Field string

// The indexed fields. Values are lower-cased.
const (
	SenderField    Field = "sender"    // Message.Sender and Message.From
	ActorField     Field = "actor"     // Message.Actor, where it is neither sender nor from
	NameField      Field = "name"      // File.Name
	ExtensionField Field = "ext"       // of File.Name, without the dot; "" has no posting
	MessageIDField Field = "messageid" // InternetMessageID
	RecipientField Field = "recipient" // Recipients
	DomainField    Field = "domain"    // of the Recipients
)

// MessageKey is where a message is stored.
func MessageKey(c connection.ID, r RecordID) table.Key {
	return table.Key{Partition: string(c) + "|message|" + string(r), Sort: "message"}
}

// DayPartition holds the postings of all messages observed on t's day.
func DayPartition(c connection.ID, t time.Time) string {
	return string(c) + "|all|" + t.UTC().Format(dayLayout)
}

// ArrivalPartition holds the postings of all messages that arrived on t's day.
func ArrivalPartition(c connection.ID, t time.Time) string {
	return string(c) + "|arrival|" + t.UTC().Format(dayLayout)
}

// DaysPartition lists the days for which a connection has postings: DaysObserved and DaysArrival followed by the day.
func DaysPartition(c connection.ID) string { return string(c) + "|days" }

// The two kinds of days, as prefixes of the sort key in DaysPartition.
const (
	DaysObserved = "observed|"
	DaysArrival  = "arrival|"
)

// TermPartition holds the postings of a field's values of one month and bucket.
func TermPartition(c connection.ID, f Field, month time.Time, bucket int) string {
	return fmt.Sprintf("%s|%s|%s|%x", c, f, month.UTC().Format(monthLayout), bucket)
}

// Bucket is where a field's value is, 0 to Buckets-1. value is as Normal gives it.
func Bucket(value string) int {
	h := fnv.New32a()
	h.Write([]byte(value))
	return int(h.Sum32() % Buckets)
}

// Normal is a value as it stands in a key: lower case, valid UTF-8, without the separator, cut at maxValue bytes.
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

// TermPrefix is what the sort keys of a value's postings begin with.
func TermPrefix(value string) string { return value + separator }

// TimeSort is the sort key of a posting by time observed; with r "" it bounds a range at t.
func TimeSort(t time.Time, r RecordID) string {
	if r == "" {
		return t.UTC().Format(timeLayout)
	}
	return t.UTC().Format(timeLayout) + "|" + string(r)
}

// SplitTimeSort undoes TimeSort.
func SplitTimeSort(s string) (time.Time, RecordID, error) {
	at, record, ok := strings.Cut(s, "|")
	t, err := time.Parse(timeLayout, at)
	if !ok || err != nil {
		return time.Time{}, "", fmt.Errorf("posting %q has no time and record", s)
	}
	return t, RecordID(record), nil
}

// SplitTermSort takes a term posting's sort key apart into its value and its TimeSort.
func SplitTermSort(s string) (value, timeSort string, ok bool) {
	return strings.Cut(s, separator)
}

// EventID names one file event for ever (Incydr: event.id). It sorts by arrival: time, connection, message, file.
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

// String is the wire form: arrival in milliseconds as 12 hex digits, connection, hash, file as 4 hex digits, joined by "-".
func (e EventID) String() string {
	return fmt.Sprintf("%012x-%s-%s-%04x", e.Arrival.UnixMilli(), e.Connection, e.Hash, e.File)
}

// ArrivalSort is the sort key of the message's posting in ArrivalPartition.
func (e EventID) ArrivalSort() string {
	return fmt.Sprintf("%012x-%s", e.Arrival.UnixMilli(), e.Hash)
}

// ParseEventID undoes String.
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
	return EventID{
		Arrival:    time.UnixMilli(ms).UTC(),
		Connection: connection.ID(parts[1]),
		Hash:       parts[2],
		File:       int(file),
	}, nil
}
