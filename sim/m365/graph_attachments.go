package m365sim

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// The properties of the base type can be selected by name, those of a file only with the cast.
func attachmentProperties() []string {
	return []string{"id", "name", "contentType", "size", "isInline", "lastModifiedDateTime", fileContentID,
		fileContentBytes}
}

const (
	fileContentID    = "microsoft.graph.fileAttachment/contentId"
	fileContentBytes = "microsoft.graph.fileAttachment/contentBytes"
)

// attachmentSelection reads $select for attachments. Without it, everything is given, bytes included.
func (c *call) attachmentSelection() ([]string, bool) {
	known := attachmentProperties()
	return c.selected("microsoft.graph.attachment", known, known)
}

// listAttachments answers with all attachments of a message. $filter is accepted and ignored, as Microsoft does.
func listAttachments(c *call) {
	if !c.allow([]string{"Mail.Read"}, "$select", "$filter", "$top", "$skip", "$expand") {
		return
	}
	names, ok := c.attachmentSelection()
	if !ok {
		return
	}
	skip, ok := c.number("$skip", 0, 0, 1<<30)
	if !ok {
		return
	}
	c.onMessage(func(m *world.Message) {
		c.startJSON()
		err := c.print(`{"@odata.context":"%s/v1.0/$metadata#attachments","value":[`, c.base(graph))
		page := m.Attachments[min(skip, len(m.Attachments)):]
		more := c.opts.GraphPageSize > 0 && len(page) > c.opts.GraphPageSize
		if more {
			page = page[:c.opts.GraphPageSize]
		}
		for i, a := range page {
			if i > 0 && err == nil {
				err = c.print(",")
			}
			if err == nil {
				err = c.writeAttachment(m, a, names)
			}
		}
		if err == nil && more {
			err = c.print(`],"@odata.nextLink":"%s"}`, c.next("$skip", strconv.Itoa(skip+len(page))))
		} else if err == nil {
			err = c.print("]}")
		}
		c.breakOff(err)
	})
}

// getAttachment answers with one attachment.
func getAttachment(c *call) {
	if !c.allow([]string{"Mail.Read"}, "$select", "$expand") {
		return
	}
	names, ok := c.attachmentSelection()
	if !ok {
		return
	}
	c.onAttachment(func(m *world.Message, a world.Attachment) {
		c.startJSON()
		c.breakOff(c.writeAttachment(m, a, names))
	})
}

// onMessage enters the mailbox and calls f with the message of the path.
func (c *call) onMessage(f func(*world.Message)) {
	box := c.enter()
	if box == nil {
		return
	}
	defer c.leave(box)
	if m := c.message(box); m != nil {
		f(m)
	}
}

// onAttachment is onMessage for the attachment of the path.
func (c *call) onAttachment(f func(*world.Message, world.Attachment)) {
	c.onMessage(func(m *world.Message) {
		wanted := c.r.PathValue("attachment")
		at := slices.IndexFunc(m.Attachments, func(a world.Attachment) bool { return a.ID == wanted })
		if at < 0 {
			c.itemNotFound()
			return
		}
		f(m, m.Attachments[at])
	})
}

// writeAttachment writes one attachment as JSON. The bytes of a file are streamed into it, however long it is.
func (c *call) writeAttachment(m *world.Message, a world.Attachment, names []string) error {
	object := map[string]any{}
	if !c.opts.OmitODataType || !c.query.Has("$select") {
		object["@odata.type"] = "#microsoft.graph." + a.Kind + "Attachment"
	}
	for _, name := range names {
		switch name {
		case "id":
			object[name] = a.ID
		case "name":
			object[name] = a.Name
		case "contentType":
			object[name] = orNull(contentTypeOf(a))
		case "size":
			object[name] = a.StoredSize
		case "isInline":
			object[name] = a.Inline
		case "lastModifiedDateTime":
			object[name] = m.Sent.UTC().Format("2006-01-02T15:04:05Z")
		case fileContentID:
			if a.Kind == "file" {
				object["contentId"] = orNull(a.ContentID)
			}
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return fmt.Errorf("write attachment %s: %w", a.ID, err)
	}
	head := bytes.TrimSuffix(text.Bytes(), []byte("}\n"))
	if a.Kind != "file" || !slices.Contains(names, fileContentBytes) {
		return c.print("%s}", head)
	}
	comma := ","
	if len(object) == 0 {
		comma = ""
	}
	if err := c.print(`%s%s"contentBytes":"`, head, comma); err != nil {
		return err
	}
	encoded := base64.NewEncoder(base64.StdEncoding, c.w)
	if _, err := io.Copy(encoded, a.Reader()); err != nil {
		return err
	}
	if err := encoded.Close(); err != nil {
		return err
	}
	return c.print(`"}`)
}

// contentTypeOf is the content type; an attached item has none.
func contentTypeOf(a world.Attachment) string {
	if a.Kind == "item" {
		return ""
	}
	return a.ContentType
}

// attachmentValue answers with the raw bytes: of a file as it was attached, of an item its MIME form. The length is
// not announced, and a reference has no bytes here.
func attachmentValue(c *call) {
	if !c.allow([]string{"Mail.Read"}) {
		return
	}
	c.onAttachment(func(_ *world.Message, a world.Attachment) {
		content := a.Reader()
		contentType := cmp.Or(contentTypeOf(a), "application/octet-stream")
		switch a.Kind {
		case "reference":
			c.fail(http.StatusMethodNotAllowed, "ErrorInvalidRequest", "$value is not supported for a reference "+
				"attachment.")
			return
		case "item":
			contentType = "message/rfc822"
			content = io.MultiReader(strings.NewReader(itemHeader(a)), content)
		}
		c.w.Header().Set("Content-Type", contentType)
		c.w.WriteHeader(http.StatusOK)
		_, err := io.Copy(c.w, content)
		c.breakOff(err)
	})
}

// itemHeader begins the MIME form of an attached message.
func itemHeader(a world.Attachment) string {
	return "MIME-Version: 1.0\r\nMessage-ID: <" + a.ID + "@simulated.invalid>\r\nSubject: " + a.Name +
		"\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
}

func (c *call) startJSON() {
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.WriteHeader(http.StatusOK)
}

func (c *call) print(format string, args ...any) error {
	_, err := fmt.Fprintf(c.w, format, args...)
	return err
}

// breakOff ends a body that could not be written whole by breaking the connection: its status is out already.
func (c *call) breakOff(err error) {
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}
