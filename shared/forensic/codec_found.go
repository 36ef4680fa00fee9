package forensic

import (
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The attributes of what was found of a message. Texts that are what the audit record says are left out: nearly all are.
const (
	attrWaiting    = "waiting"    // true while recipients and hashes are to be found
	attrFound      = "found"      // a time; absent: nothing was found
	attrReason     = "reason"     // absent: the message was found
	attrFoundIn    = "foundin"    // absent: the record's mailbox
	attrGraphFrom  = "graphfrom"  // absent: the record's from
	attrGraphBy    = "graphby"    // absent: the record's sender
	attrGraphTitle = "graphtitle" // absent: the record's subject
	attrGraphSent  = "graphsent"  // a time; absent: not told
	attrAddressees = "addressees" // a list of maps with address, name and role
	attrAddress    = "address"
	attrRole       = "role"

	// Of an attachment in attrFiles.
	attrGraphName   = "graphname" // absent: the record's name
	attrGraphSize   = "graphsize" // absent: not said
	attrTrueSize    = "truesize"  // absent: not counted
	attrID          = "id"
	attrContentType = "type"
	attrByBytes     = "bytes"
	attrKind        = "kind" // absent: a file
	attrInline      = "inline"
	attrMD5         = "md5"
	attrSHA256      = "sha256"
	attrQuickXor    = "quickxor"
	attrURL         = "url"
	attrNoHash      = "nohash"
	attrMissing     = "missing"
)

// putFound sets the attributes of what was found, but for those in lists.
func putFound(a table.Attrs, m Message) {
	if m.Waiting {
		a[attrWaiting] = true
	}
	f := m.Found
	if f.At.IsZero() {
		return
	}
	a[attrFound] = stamp(f.At)
	if f.Reason != "" {
		a[attrReason] = string(f.Reason)
		return
	}
	for _, t := range [...]struct{ name, value, implied string }{
		{attrFoundIn, f.Mailbox, m.Mailbox},
		{attrGraphFrom, f.From, m.From},
		{attrGraphBy, f.Sender, m.Sender},
		{attrGraphTitle, f.Subject, m.Subject},
	} {
		if t.value != t.implied {
			a[t.name] = t.value
		}
	}
	if !f.Sent.IsZero() {
		a[attrGraphSent] = stamp(f.Sent)
	}
}

// takeFound undoes putFound. What the record says is in m already.
func takeFound(m *Message, a table.Attrs) (err error) {
	m.Waiting, _ = a[attrWaiting].(bool)
	f := Found{Reason: Reason(text(a, attrReason, ""))}
	for _, t := range [...]struct {
		name string
		to   *time.Time
	}{{attrFound, &f.At}, {attrGraphSent, &f.Sent}} {
		s := text(a, t.name, "")
		if s == "" {
			continue
		}
		if *t.to, err = time.Parse(timeLayout, s); err != nil {
			return fmt.Errorf("message %s of connection %s: time %s: %w", m.Record, m.Connection, t.name, fault.Poison)
		}
	}
	if f.Known() {
		f.Mailbox = text(a, attrFoundIn, m.Mailbox)
		f.From = text(a, attrGraphFrom, m.From)
		f.Sender = text(a, attrGraphBy, m.Sender)
		f.Subject = text(a, attrGraphTitle, m.Subject)
	}
	m.Found = f
	return nil
}

// fileAttrs are the attributes of a file, with what was found of it.
func fileAttrs(f *File, found bool) table.Attrs {
	a := table.Attrs{attrName: f.Name}
	if f.StoredSize >= 0 {
		a[attrSize] = f.StoredSize
	}
	if !found {
		return a
	}
	for _, t := range [...]struct{ name, value, implied string }{
		{attrGraphName, f.Found.Name, f.Name},
		{attrID, f.Found.ID, ""},
		{attrContentType, f.Found.ContentType, ""},
		{attrByBytes, f.Found.ByBytes, ""},
		{attrKind, string(f.Found.Kind), string(FileKind)},
		{attrMD5, f.Found.MD5, ""},
		{attrSHA256, f.Found.SHA256, ""},
		{attrQuickXor, f.Found.QuickXor, ""},
		{attrURL, f.Found.URL, ""},
		{attrNoHash, string(f.Found.NoHash), ""},
		{attrMissing, string(f.Found.Missing), ""},
	} {
		if t.value != t.implied {
			a[t.name] = t.value
		}
	}
	if f.Found.Inline {
		a[attrInline] = true
	}
	if f.Found.StoredSize >= 0 {
		a[attrGraphSize] = f.Found.StoredSize
	}
	if f.Found.Size >= 0 {
		a[attrTrueSize] = f.Found.Size
	}
	return a
}

// readFile undoes fileAttrs. The file is the message's i-th.
func readFile(a table.Attrs, i int, found bool) File {
	f := File{Name: text(a, attrName, ""), StoredSize: size(a, attrSize)}
	if !found {
		return f
	}
	f.Found = Attachment{
		Record:      i,
		Missing:     Reason(text(a, attrMissing, "")),
		ID:          text(a, attrID, ""),
		Name:        text(a, attrGraphName, f.Name),
		ContentType: text(a, attrContentType, ""),
		ByBytes:     text(a, attrByBytes, ""),
		Kind:        Kind(text(a, attrKind, string(FileKind))),
		StoredSize:  size(a, attrGraphSize),
		Size:        size(a, attrTrueSize),
		MD5:         text(a, attrMD5, ""),
		SHA256:      text(a, attrSHA256, ""),
		QuickXor:    text(a, attrQuickXor, ""),
		URL:         text(a, attrURL, ""),
		NoHash:      Reason(text(a, attrNoHash, "")),
	}
	f.Found.Inline, _ = a[attrInline].(bool)
	if f.Found.Missing == NotInRecord {
		f.Found.Record = -1
	}
	return f
}

// size is a number of bytes, or -1 when there is none.
func size(a table.Attrs, name string) int64 {
	if n, ok := a[name].(int64); ok {
		return n
	}
	return -1
}

func addresseeAttrs(r Recipient) table.Attrs {
	a := table.Attrs{attrAddress: r.Address}
	if r.Name != "" {
		a[attrName] = r.Name
	}
	if r.Role != Unknown {
		a[attrRole] = string(r.Role)
	}
	return a
}

func readAddressee(a table.Attrs) Recipient {
	return Recipient{Address: text(a, attrAddress, ""), Name: text(a, attrName, ""), Role: Role(text(a, attrRole, ""))}
}
