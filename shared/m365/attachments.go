package m365

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

const (
	// attachmentFields are those of the base type. Without $select Graph sends every file within the listing; contentId
	// is not on the base type, and selecting it is an error.
	attachmentFields = "id,name,contentType,size,isInline"
	maxAttachments   = 4096     // Exchange takes 250 in a message
	typeWithin       = 64 << 10 // in so many bytes of an attachment's JSON, its type is looked for
)

// attachment is the part that we read of Graph's resource type attachment.
type attachment struct {
	Type        string `json:"@odata.type"`
	ID          string `json:"id"`
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
	Size        *int64 `json:"size"`
	Inline      bool   `json:"isInline"`
}

// Attachments lists what is attached to a message ("List attachments"), page by page. It does not rely on the message's
// hasAttachments, which is false when all attachments are inline.
func (c *Client) Attachments(
	ctx context.Context,
	t connection.Tenant,
	mailbox, message string,
) ([]enrich.Attached, error) {
	what := fmt.Sprintf("list the attachments of a message of tenant %s", t.ID)
	u, err := c.graphURL(t, messagePath(mailbox, message)+"/attachments", url.Values{"$select": {attachmentFields}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var all []enrich.Attached
	for u != nil {
		var page struct {
			Value []attachment `json:"value"`
			Next  string       `json:"@odata.nextLink"`
		}
		if err := c.graphJSON(ctx, mailCall(what, t, u), &page); err != nil {
			return nil, mailFailure(err)
		}
		for _, a := range page.Value {
			one, err := c.attached(ctx, t, mailbox, message, a)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		if page.Next != "" && (len(page.Value) == 0 || len(all) > maxAttachments) {
			return nil, unreadable(what, "the pages do not come to an end")
		}
		if u, err = c.following(t, what, page.Next); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// following returns the address of the next page, or nil if there is none.
func (c *Client) following(t connection.Tenant, what, link string) (*url.URL, error) {
	if link == "" {
		return nil, nil
	}
	u, err := c.graphLink(t, link)
	if err != nil {
		return nil, foreign(what, fault.Retry, err)
	}
	return u, nil
}

func (c *Client) attached(
	ctx context.Context,
	t connection.Tenant,
	mailbox, message string,
	a attachment,
) (enrich.Attached, error) {
	made := enrich.Attached{ID: a.ID, Name: a.Name, ContentType: a.ContentType, Inline: a.Inline, StoredSize: -1}
	if a.ID == "" {
		return made, unreadable(
			fmt.Sprintf("list the attachments of a message of tenant %s", t.ID),
			"an attachment has no id",
		)
	}
	if a.Size != nil && *a.Size >= 0 {
		made.StoredSize = *a.Size
	}
	if a.Type == "" {
		var err error
		if a.Type, err = c.attachmentType(ctx, t, mailbox, message, a.ID); err != nil {
			return made, err
		}
	}
	made.Kind = attachmentKind(a)
	return made, nil
}

// attachmentKind goes by the type. If Graph gives none: only an attached item has no content type.
func attachmentKind(a attachment) forensic.Kind {
	switch a.Type[strings.LastIndexByte(a.Type, '.')+1:] {
	case "fileAttachment":
		return forensic.FileKind
	case "itemAttachment":
		return forensic.ItemKind
	case "referenceAttachment":
		return forensic.ReferenceKind
	}
	if a.ContentType == "" {
		return forensic.ItemKind
	}
	return forensic.FileKind
}

// attachmentType asks for the @odata.type that a listing with $select left out. Only an answer without $select is sure
// to have it, and that answer holds the file too. The type comes before the file, so only the beginning is read.
func (c *Client) attachmentType(ctx context.Context, t connection.Tenant, mailbox, message, id string) (string, error) {
	what := fmt.Sprintf("ask for the type of an attachment of tenant %s", t.ID)
	ctx, cancel := brief(ctx)
	defer cancel()
	u, err := c.graphURL(t, attachmentPath(mailbox, message, id), nil)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.send(ctx, mailCall(what, t, u))
	if err != nil {
		return "", mailFailure(err)
	}
	defer resp.Body.Close()
	head, err := io.ReadAll(io.LimitReader(resp.Body, typeWithin))
	if err != nil {
		return "", err
	}
	return typeIn(head), nil
}

// typeIn finds the @odata.type in the beginning of an object; "" if it is not there.
func typeIn(head []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(head))
	depth, key, isKey := 0, "", false
	for {
		token, err := decoder.Token()
		if err != nil {
			return ""
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			isKey = depth == 1
			continue
		case string:
			if depth == 1 && isKey {
				key, isKey = v, false
				continue
			}
			if depth == 1 && key == "@odata.type" {
				return v
			}
		}
		isKey = depth == 1
	}
}

func attachmentPath(mailbox, message, attachment string) string {
	return messagePath(mailbox, message) + "/attachments/" + url.PathEscape(attachment)
}

// OpenAttachment streams the bytes of a file attachment ("Get attachment", $value). It does not use $batch, which would
// return the file as base64 inside one JSON value.
func (c *Client) OpenAttachment(
	ctx context.Context,
	t connection.Tenant,
	mailbox, message, attachment string,
) (io.ReadCloser, string, error) {
	what := fmt.Sprintf("open an attachment of tenant %s", t.ID)
	u, err := c.graphURL(t, attachmentPath(mailbox, message, attachment)+"/$value", nil)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	call := mailCall(what, t, u)
	call.raw = true
	resp, err := c.send(ctx, call)
	if err != nil {
		return nil, "", mailFailure(err)
	}
	return resp.Body, mediaType(resp.Header), nil
}

// mediaType returns the media type of an answer, in lower case and without parameters.
func mediaType(h http.Header) string {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind
}
