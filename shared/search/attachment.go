package search

import (
	"fmt"
	"strconv"
	"time"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

// attached is the event's file as the message has it; nil if the message was not found, or not yet.
func (e *event) attached() *forensic.Attachment {
	if e.message == nil || !e.message.Copy.Known() {
		return nil
	}
	return &e.message.Files[e.file].Attachment
}

// ofAttached returns a term's value: a text of the file as the message has it.
func ofAttached(of func(*forensic.Attachment) string) func(*event) value {
	return func(e *event) value {
		a := e.attached()
		if a == nil {
			return value{}
		}
		return textOf(of(a))
	}
}

func (e *event) fileName() value { return textOf(e.message.Files[e.file].Name) }

// originalName is the file's name in the message, if it is not the one in the audit record.
func (e *event) originalName() value {
	if a := e.attached(); a != nil && a.Name != e.message.Files[e.file].Name {
		return textOf(a.Name)
	}
	return value{}
}

func (e *event) byName() forensic.FileType { return forensic.TypeByName(e.message.Files[e.file].Name) }

func (e *event) categoryByExtension() value { return textOf(e.byName().Category) }
func (e *event) mimeTypeByExtension() value { return textOf(e.byName().MIME) }

// kind is what the file is. Its bytes outweigh its name.
func (e *event) kind() forensic.FileType {
	byBytes := ""
	if a := e.attached(); a != nil {
		byBytes = a.ByBytes
	}
	return forensic.TypeOf(e.message.Files[e.file].Name, byBytes)
}

func (e *event) category() value { return textOf(e.kind().Category) }
func (e *event) mimeType() value { return textOf(e.kind().MIME) }

func (e *event) categoryByBytes() value {
	if a := e.attached(); a != nil && a.ByBytes != "" {
		return textOf(forensic.TypeByMIME(a.ByBytes).Category)
	}
	return value{}
}

// size is how many bytes the file has. Until they are counted it is what the audit record or Graph says, which is
// some hundred more.
func (e *event) size() value {
	f := &e.message.Files[e.file]
	n := f.StoredSize
	if a := e.attached(); a != nil {
		switch {
		case a.Size >= 0:
			n = a.Size
		case n < 0:
			n = a.StoredSize
		}
	}
	return value{num: n, ok: n >= 0}
}

func (e *event) inline() value {
	a := e.attached()
	switch {
	case a == nil || a.Missing == forensic.NotInMessage:
		return value{}
	case a.Inline:
		return numberOf(1)
	}
	return numberOf(0)
}

// noHash says why there is no hash; it is missing if there is one.
func (e *event) noHash() value {
	const begins = "Hash not available: "
	if e.message.Waiting {
		return textOf(begins + "the attachment has not been read yet." + looks(e.message.Copy))
	}
	if reason := e.message.Copy.Reason; reason != "" {
		return textOf(begins + sentence(reason) + looks(e.message.Copy))
	}
	a := e.attached()
	switch {
	case a == nil:
		return textOf(begins + "no mailbox was looked into.")
	case a.NoHash.Passes():
		return textOf(begins + sentence(a.NoHash) + looks(e.message.Copy))
	case a.NoHash != "":
		return textOf(begins + sentence(a.NoHash))
	case a.SHA256 != "":
		return value{}
	case a.Missing != "":
		return textOf(begins + sentence(a.Missing))
	}
	return textOf(begins + "the file was not read.")
}

// noRecipients says why the message's recipients are not known; it is missing if they are.
func (e *event) noRecipients() value {
	const begins = "Recipients are as far as the audit record names them: "
	switch {
	case e.message.Waiting:
		return textOf(begins + "the message has not been read yet." + looks(e.message.Copy))
	case e.message.Copy.At.IsZero():
		return textOf(begins + "no mailbox was looked into.")
	case e.message.Copy.Reason != "":
		return textOf(begins + sentence(e.message.Copy.Reason) + looks(e.message.Copy))
	}
	return value{}
}

// looks says how often a message was looked for, what was answered, and when it is looked for again.
func looks(c forensic.Copy) string {
	if c.Looks == 0 || c.Answer == "" {
		return ""
	}
	text := fmt.Sprintf(" It was looked for %s, last at %s; the answer was: %s.", times(c.Looks), utc(c.Looked), c.Answer)
	switch {
	case c.Refused != "":
		text += " It is looked for again as soon as the mailbox answers."
	case !c.Next.IsZero():
		text += " It is looked for again at " + utc(c.Next) + "."
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// sentence says what a reason means.
func sentence(r forensic.Reason) string {
	switch r {
	case forensic.NotFound:
		return "the message is in no mailbox that it may be in. It was deleted, or not saved to Sent Items."
	case forensic.MailboxDenied:
		return "a policy of the tenant keeps the application out of the mailbox."
	case forensic.NoMailbox:
		return "the sender has no mailbox in the cloud."
	case forensic.NoPermission:
		return "the application lacks the permission to read mail, or the file behind a link."
	case forensic.OutOfTime:
		return "Microsoft did not answer, or broke off, until the deadline."
	case forensic.TooLarge:
		return "the file is larger than the limit for hashing."
	case forensic.ItemAttached:
		return "it is a message or another item within the message, whose bytes are made anew at each download."
	case forensic.NotReachable:
		return "the file behind the link is deleted, elsewhere, or not told."
	case forensic.NotInMessage:
		return "the message does not have this attachment, which the audit record names."
	case forensic.NotInRecord:
		return "the audit record does not name this attachment."
	case forensic.HashingOff:
		return "the operator has turned hashing off."
	case forensic.InternalOnly:
		return "all recipients are of the company, and only files that leave it are hashed."
	}
	return string(r) + "."
}
