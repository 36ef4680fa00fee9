package forensic

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Class says what kind of record a record is.
type Class int

const (
	NoSend Class = iota // not a send of a mail with attachments
	Sent                // a mail with attachments left the mailbox
	Noise               // a sharing notification, which SharePoint or OneDrive sent in the user's name
	Failed              // a send whose result was not a success: nothing left
)

const (
	// MaxFiles is how many attachments a message may have: an event id names one by four hex digits. Exchange takes 250.
	MaxFiles = 1 << 16
	// maxText is how many bytes are kept of a text of the record, such as its subject; Outlook takes 255 characters.
	maxText = 2048
	// maxName is how many bytes are kept of a file's name or a recipient's address. File systems take 255 characters.
	maxName = 1024
	// maxRecordID is the longest id of a record in bytes. Microsoft's are GUIDs, of 36.
	maxRecordID = 128
)

// sharingApp is the AppId of what sends sharing notifications for SharePoint Online and OneDrive.
const sharingApp = "3138fe80-4087-4b04-80a6-8866c738028a"

// Derive makes a message of a record of blob b. The message is complete except for Stored. The class says whether to
// store it; for any class but Sent the message is zero.
//
// All texts in the message are UTF-8. Overlong texts are cut, at 2,048 bytes, and names of files and addresses at
// 1,024. If cutting, or an unusual form, loses something of the attachments, Message.Attachments keeps the record's
// own text.
//
// A record that cannot become a message has fault.Poison: its Id cannot be a key, its time has no four-digit year, or
// it has more than MaxFiles attachments.
func Derive(r audit.Record, b audit.Blob) (Message, Class, error) {
	if !r.SendsFiles() {
		return Message{}, NoSend, nil
	}
	id, err := recordID(r.ID)
	if err != nil {
		return Message{}, NoSend, err
	}
	observed := r.CreationTime.UTC().Truncate(time.Millisecond)
	if y := observed.Year(); y < 1 || y > 9999 {
		return Message{}, NoSend, fmt.Errorf("record %s: CreationTime is in year %d: %w", id, y, fault.Poison)
	}
	files, text, err := files(id, r.Item.Attachments)
	if err != nil {
		return Message{}, NoSend, err
	}
	if !succeeded(r.ResultStatus) {
		return Message{}, Failed, nil
	}
	if sharingNotification(r, files) {
		return Message{}, Noise, nil
	}

	m := Message{
		Connection:        b.Connection,
		Record:            id,
		Observed:          observed,
		Arrival:           b.Arrival.UTC().Truncate(time.Millisecond),
		Operation:         string(r.Operation),
		Mailbox:           clean(r.MailboxOwnerUPN),
		Subject:           clean(r.Item.Subject),
		InternetMessageID: clean(r.Item.InternetMessageID),
		UserID:            plainFact(r.UserID),
		UserKey:           plainFact(r.UserKey),
		UserType:          userType(r.UserType),
		LogonType:         logonType(r.LogonType),
		ExternalAccess:    r.ExternalAccess,
		MailboxGUID:       plainFact(r.MailboxGUID),
		Client:            clean(r.ClientInfoString),
		ClientIP:          cut(bareIP(firstOf(r.ClientIP, r.ClientIPAddress)), maxText),
		ActorIP:           plainFact(bareIP(r.ActorIP)),
		DeviceID:          plainFact(r.DeviceID),
		Session:           clean(firstOf(r.SessionID, r.AccessSession)),
		Folder:            plainFact(r.Item.ParentFolderPath),
		ItemID:            itemID(r.Item.ID),
		ImmutableID:       itemID(r.Item.ImmutableID),
		Sensitivity:       plainFact(r.Item.Sensitivity),
		SavedToSent:       r.SaveToSentItems,
		Recipients:        recipients(r.Recipients),
		RecipientCount:    max(r.RecipientCount, int64(len(r.Recipients))),
		Files:             files,
		Attachments:       text,
		Blob:              audit.ContentID(clean(string(b.ID))),
	}
	m.Actor, m.Sender, m.From = parties(r)
	m.AppID, m.Service = application(r, m.ByApplication())
	return m, Sent, nil
}

// application returns the id of the application that sent the message, and that of the service that it called if that
// is another one. The user key of an application that acts with its own permissions is its id.
func application(r audit.Record, own bool) (app, service string) {
	service = plainFact(r.AppID)
	candidates := []string{r.ClientAppID, r.AccessAppID, service}
	if own {
		candidates = append([]string{r.UserKey}, candidates...)
	}
	if app = clean(firstOf(candidates...)); strings.EqualFold(app, service) {
		service = ""
	}
	return app, service
}

// itemID is a store id of an item. Microsoft writes Unknown if there is none.
func itemID(s string) string {
	if id := plainFact(s); id != "Unknown" {
		return id
	}
	return ""
}

// parties says who acted, in whose name the mail was transmitted, and whom the recipient sees.
func parties(r audit.Record) (actor, sender, from string) {
	user, owner := clean(r.UserID), clean(r.MailboxOwnerUPN)
	actor = user
	if (user == "" || isSID(user)) && owner != "" {
		actor = owner
	}
	switch r.Operation {
	case audit.SendAs:
		from = firstOf(clean(r.SendAsUserSmtp), owner, user)
		return actor, from, from
	case audit.SendOnBehalf:
		return actor, actor, firstOf(clean(r.SendOnBehalfOfUserSmtp), owner, user)
	}
	from = firstOf(owner, user)
	return actor, from, from
}

// isSID recognizes a Windows security identifier, which stands for the system in place of a user.
func isSID(user string) bool { return len(user) > 4 && strings.EqualFold(user[:4], "S-1-") }

// sharingNotification demands every trait at once. Somebody who wants to hide a mail can forge all but the first, and
// a notification that is shown does less harm than a mail that is not.
func sharingNotification(r audit.Record, files []File) bool {
	if !strings.EqualFold(strings.TrimSpace(r.AppID), sharingApp) ||
		!strings.HasPrefix(r.Item.InternetMessageID, "<odspmicro-") {
		return false
	}
	for _, f := range files {
		if f.Name != "AttachedImage" {
			return false
		}
	}
	return true
}

// succeeded reports whether a send may have left. Only a status that says otherwise drops a record: one that we do not
// know drops none.
func succeeded(status string) bool {
	switch strings.ToLower(strings.TrimSpace(status)) {
	case "failed", "failure", "false":
		return false
	}
	return true
}

func recordID(s string) (RecordID, error) {
	id := strings.ToLower(strings.TrimSpace(s))
	if id == "" || len(id) > maxRecordID {
		return "", fmt.Errorf("record with an Id of %d bytes: %w", len(id), fault.Poison)
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || c == '|' {
			return "", fmt.Errorf("record with %q in its Id: %w", c, fault.Poison)
		}
	}
	return RecordID(id), nil
}

// files parses Item.Attachments. text is s itself if the files do not hold everything in it.
func files(id RecordID, s string) (files []File, text string, err error) {
	parsed, whole := audit.ParseAttachments(s)
	if len(parsed) > MaxFiles {
		return nil, "", fmt.Errorf("record %s: %d attachments: %w", id, len(parsed), fault.Poison)
	}
	files = make([]File, len(parsed))
	for i, a := range parsed {
		files[i] = File{Name: cut(a.Name, maxName), StoredSize: a.StoredSize}
		if !a.SizeKnown || a.StoredSize < 0 {
			files[i].StoredSize = -1
		}
		whole = whole && files[i].Name == a.Name
	}
	if !whole {
		text = strings.ToValidUTF8(s, "\ufffd")
	}
	return files, text, nil
}

func recipients(list []audit.Address) []string {
	var found []string
	for _, a := range list {
		if address := cut(strings.TrimSpace(a.Address), maxName); address != "" {
			found = append(found, address)
		}
	}
	return found
}

// clean returns a text of the record in the form in which it is kept.
func clean(s string) string { return cut(strings.TrimSpace(s), maxText) }

// plainFact is clean for a text that stands among the facts of a stored message: it has none of the characters that
// part them.
func plainFact(s string) string {
	s = clean(s)
	if strings.ContainsAny(s, separator+noFact) {
		s = strings.NewReplacer(separator, " ", noFact, " ").Replace(s)
	}
	return s
}

// cut returns s as UTF-8 of at most limit bytes.
func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			return t
		}
	}
	return ""
}

// bareIP is an address of a record's ClientIP without its port, brackets and IPv4-in-IPv6 form: Microsoft writes
// "1.2.3.4:16902", "[2603::5]:54088", "[1.2.3.4]" and "::ffff:1.2.3.4". A host name loses its port. Anything else is
// kept as it is.
func bareIP(s string) string {
	s = strings.TrimSpace(s)
	host := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(s, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	host, _, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return s
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}
