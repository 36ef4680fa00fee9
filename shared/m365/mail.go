package m365

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

var _ enrich.Graph = (*Client)(nil)

const (
	// mailRole is the permission that mail and attachments need. Mail.ReadBasic would leave out the attachments.
	mailRole = "Mail.Read"
	// mailFields are what is taken of a message: neither its body nor a preview of it.
	mailFields = "id,internetMessageId,isDraft,from,sender,subject,sentDateTime,toRecipients,ccRecipients,bccRecipients," +
		"hasAttachments"
	// maxHits bounds the messages of one mailbox that share an internet message id: drafts, copies and mail to oneself
	// are a handful.
	maxHits = "50"
)

// FindSent and FindAnywhere search a mailbox by internet message id ("List messages", "user: list
// mailFolders/{id}/messages").
func (c *Client) FindSent(
	ctx context.Context,
	t connection.Tenant,
	mailbox, internetMessageID string,
) ([]enrich.Mail, error) {
	return c.find(ctx, t, mailbox, "/mailFolders/sentitems/messages", internetMessageID)
}

// FindAnywhere is FindSent for the whole mailbox.
func (c *Client) FindAnywhere(
	ctx context.Context,
	t connection.Tenant,
	mailbox, internetMessageID string,
) ([]enrich.Mail, error) {
	return c.find(ctx, t, mailbox, "/messages", internetMessageID)
}

// FindDeleted is FindSent for what was deleted for good: listing the whole mailbox leaves Recoverable Items out.
func (c *Client) FindDeleted(
	ctx context.Context,
	t connection.Tenant,
	mailbox, internetMessageID string,
) ([]enrich.Mail, error) {
	return c.find(ctx, t, mailbox, "/mailFolders/recoverableitemsdeletions/messages", internetMessageID)
}

// FindAround lists what was sent within a time, in one page.
func (c *Client) FindAround(
	ctx context.Context, t connection.Tenant, mailbox string, folder enrich.Folder, from, to time.Time,
) (mails []enrich.Mail, all bool, err error) {
	what := fmt.Sprintf("find a message of tenant %s by its time", t.ID)
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
	u, err := c.graphURL(t, mailboxPath(mailbox)+"/mailFolders/"+url.PathEscape(string(folder))+"/messages", url.Values{
		"$filter": {"sentDateTime ge " + stamp(from) + " and sentDateTime le " + stamp(to.Add(time.Second))},
		"$select": {mailFields}, "$top": {maxHits},
	})
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", what, err)
	}
	var answer struct {
		Value []message `json:"value"`
		Next  string    `json:"@odata.nextLink"`
	}
	if err := c.graphJSON(ctx, mailCall(what, t, u), &answer); err != nil {
		return nil, false, mailFailure(err)
	}
	for _, m := range answer.Value {
		if m.ID != "" {
			mails = append(mails, m.mail())
		}
	}
	return mails, answer.Next == "", nil
}

// find makes no use of $orderby: with a filter on another property Graph refuses it (InefficientFilter).
func (c *Client) find(
	ctx context.Context,
	t connection.Tenant,
	mailbox, folder, internetMessageID string,
) ([]enrich.Mail, error) {
	what := fmt.Sprintf("find a message of tenant %s", t.ID)
	// The angle brackets belong to the value; escaped like all of it they are found, and as they are they are not.
	u, err := c.graphURL(t, mailboxPath(mailbox)+folder, url.Values{
		"$filter": {"internetMessageId eq '" + strings.ReplaceAll(internetMessageID, "'", "''") + "'"},
		"$select": {mailFields}, "$top": {maxHits},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var answer struct {
		Value []message `json:"value"`
	}
	if err := c.graphJSON(ctx, mailCall(what, t, u), &answer); err != nil {
		return nil, mailFailure(err)
	}
	found := make([]enrich.Mail, 0, len(answer.Value))
	for _, m := range answer.Value {
		if m.ID != "" && strings.TrimSpace(m.InternetMessageID) == internetMessageID {
			found = append(found, m.mail())
		}
	}
	return found, nil
}

// mailboxPath is the path of a person's resources. The address is one segment, whatever is in it.
func mailboxPath(mailbox string) string { return "/users/" + url.PathEscape(mailbox) }

func messagePath(mailbox, message string) string {
	return mailboxPath(mailbox) + "/messages/" + url.PathEscape(message)
}

// mailCall asks for immutable ids, for the id of a message changes when it moves, be it from Drafts to Sent Items.
func mailCall(what string, t connection.Tenant, u *url.URL) call {
	return call{
		what: what, resource: graph, tenant: t, method: http.MethodGet, url: u, role: mailRole,
		header: http.Header{"Prefer": {`IdType="ImmutableId"`}},
	}
}

// mailFailure puts the sentinel of the domain beside what Graph refused.
func mailFailure(err error) error {
	switch fault.Code(err) {
	case "ErrorInvalidUser",
		"MailboxNotEnabledForRESTAPI",
		"ResourceNotFound",
		"Request_ResourceNotFound",
		"ErrorNonExistentMailbox",
		"extensionError":
		return fmt.Errorf("%w: %w", enrich.ErrNoMailbox, err)
	case "ErrorItemNotFound", "itemNotFound":
		return fmt.Errorf("%w: %w", enrich.ErrGone, err)
	case NotPermitted, "Authorization_RequestDenied":
		return fmt.Errorf("%w: %w", enrich.ErrNotPermitted, err)
	case "ErrorAccessDenied":
		return fmt.Errorf("%w: %w", enrich.ErrDenied, err)
	}
	return err
}

// message is Graph's resource type message, as far as it is read. Anything in it may be null.
type message struct {
	ID                string      `json:"id"`
	InternetMessageID string      `json:"internetMessageId"`
	Draft             bool        `json:"isDraft"`
	HasAttachments    bool        `json:"hasAttachments"`
	From              recipient   `json:"from"`
	Sender            recipient   `json:"sender"`
	Subject           string      `json:"subject"`
	Sent              string      `json:"sentDateTime"`
	To                []recipient `json:"toRecipients"`
	Cc                []recipient `json:"ccRecipients"`
	Bcc               []recipient `json:"bccRecipients"`
}

// recipient is Graph's resource type recipient.
type recipient struct {
	Email struct {
		Name    string `json:"name"`
		Address string `json:"address"`
	} `json:"emailAddress"`
}

func (m message) mail() enrich.Mail {
	made := enrich.Mail{
		ID:        m.ID,
		MessageID: strings.TrimSpace(m.InternetMessageID),
		Draft:     m.Draft,

		HasAttachments: m.HasAttachments,

		From:    m.From.Email.Address,
		Sender:  m.Sender.Email.Address,
		Subject: m.Subject,
	}
	if sent, err := time.Parse(time.RFC3339, m.Sent); err == nil {
		made.Sent = sent.UTC()
	}
	for _, line := range []struct {
		role forensic.Role
		all  []recipient
	}{{forensic.To, m.To}, {forensic.Cc, m.Cc}, {forensic.Bcc, m.Bcc}} {
		for _, r := range line.all {
			// Graph gives a recipient that the sender only typed a name for without an address: the name is all there
			// is.
			address := strings.TrimSpace(r.Email.Address)
			if address == "" {
				address = strings.TrimSpace(r.Email.Name)
			}
			if address != "" {
				made.Recipients = append(
					made.Recipients,
					forensic.Recipient{Address: address, Name: r.Email.Name, Role: line.role},
				)
			}
		}
	}
	return made
}
