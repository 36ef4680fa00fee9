package m365sim

import (
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// downloadLife is how long the address of a download is good.
const downloadLife = time.Hour

// cloudFile is the file behind a reference attachment.
type cloudFile struct {
	drive, item string
	attachment  world.Attachment
}

func filesRoles() []string {
	return []string{"Files.Read.All", "Sites.Read.All", "Files.ReadWrite.All", "Sites.ReadWrite.All"}
}

// upload makes a file of OneDrive for each reference of the message that says where it leads to. The tenant is locked.
func (t *tenant) upload(m *world.Message) {
	for _, a := range m.Attachments {
		if a.Kind != "reference" || a.SourceURL == "" {
			continue
		}
		f := &cloudFile{drive: "b!" + seal(t.ID, m.Mailbox), item: "01" + strings.ToUpper(strings.ReplaceAll(guid(4,
			a.SourceURL), "-", "")), attachment: a}
		t.shared[a.SourceURL], t.items[f.drive+"|"+f.item] = f, f
	}
}

// RemoveFile deletes the file behind a reference attachment; the reference stays.
func (s *Server) RemoveFile(tenantID, sourceURL string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.shared[sourceURL]; f != nil {
		delete(t.shared, sourceURL)
		delete(t.items, f.drive+"|"+f.item)
	}
	return nil
}

// betaAttachment is getAttachment of the beta, which says where a reference leads.
func betaAttachment(c *call) {
	if !c.allow([]string{"Mail.Read"}, "$select", "$expand") {
		return
	}
	c.onAttachment(func(m *world.Message, a world.Attachment) {
		if a.Kind != "reference" {
			c.startJSON()
			c.breakOff(c.writeAttachment(m, a, attachmentProperties()))
			return
		}
		provider := "oneDriveBusiness"
		if strings.Contains(a.SourceURL, "dropbox") {
			provider = "dropbox"
		}
		c.json(http.StatusOK, map[string]any{
			"@odata.type": "#microsoft.graph.referenceAttachment", "id": a.ID, "name": a.Name, "contentType": nil,
			"size":     a.StoredSize,
			"isInline": a.Inline, "sourceUrl": orNull(a.SourceURL), "providerType": provider, "permission": "view",
			"isFolder":     a.Folder,
			"thumbnailUrl": nil, "previewUrl": nil,
		})
	})
}

// sharedItem resolves a sharing address to its file.
func sharedItem(c *call) {
	if !c.allow(filesRoles(), "$select") {
		return
	}
	encoded, ok := strings.CutPrefix(c.r.PathValue("share"), "u!")
	address, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ok || err != nil {
		c.fail(http.StatusBadRequest, "invalidRequest", "The sharing token is invalid.")
		return
	}
	c.tenant.mu.RLock()
	f := c.tenant.shared[string(address)]
	c.tenant.mu.RUnlock()
	if f == nil {
		c.fail(http.StatusNotFound, "itemNotFound", "The resource could not be found.")
		return
	}
	known := []string{"id", "name", "size", "file", "folder", "parentReference", "webUrl"}
	names, ok := c.selected("microsoft.graph.driveItem", known, known)
	if !ok {
		return
	}
	a := f.attachment
	item := map[string]any{
		"id": f.item, "name": a.Name, "size": a.Length, "webUrl": a.SourceURL,
		"parentReference": map[string]string{"driveId": f.drive, "driveType": "business", "id": f.item[:8]},
	}
	if a.Folder {
		item["folder"] = map[string]int{"childCount": 1}
	} else {
		item["file"] = map[string]any{"mimeType": a.ContentType,
			"hashes": map[string]string{"quickXorHash": quickXor(a.Reader(), a.Length)}}
	}
	shown := map[string]any{}
	for _, name := range names {
		if value, ok := item[name]; ok {
			shown[name] = value
		}
	}
	c.json(http.StatusOK, shown)
}

// itemContent redirects to the host that serves files, as Microsoft does. The address there is good by itself.
func itemContent(c *call) {
	if !c.allow(filesRoles()) {
		return
	}
	c.tenant.mu.RLock()
	f := c.tenant.items[c.r.PathValue("drive")+"|"+c.r.PathValue("item")]
	c.tenant.mu.RUnlock()
	if f == nil || f.attachment.Folder {
		c.fail(http.StatusNotFound, "itemNotFound", "The resource could not be found.")
		return
	}
	until := c.now.Add(downloadLife)
	pass := seal(c.tenant.ID, f.drive+"|"+f.item, strconv.FormatInt(until.Unix(), 10))
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	_, port, _ := net.SplitHostPort(c.r.Host)
	c.w.Header().Set("Location", scheme+net.JoinHostPort(filesHost, port)+"/files/download.aspx?tempauth="+pass)
	c.w.WriteHeader(http.StatusFound)
}

// filesHost is another name of the loopback address: files are served from another host than Graph's.
const filesHost = "localhost"

// download serves a file to any client that has its address. A token in the request was sent to the wrong host.
func download(c *call) {
	if c.r.Header.Get("Authorization") != "" {
		c.fail(http.StatusBadRequest, "TokenLeaked", "An access token was sent to a host that it is not for.")
		return
	}
	parts, ok := unseal(c.query.Get("tempauth"), 4)
	if ok {
		c.tenant = c.s.tenant(parts[0])
	}
	if c.tenant == nil {
		c.fail(http.StatusUnauthorized, "unauthenticated", "The address is not good.")
		return
	}
	until, err := strconv.ParseInt(parts[3], 10, 64)
	c.tenant.mu.RLock()
	f := c.tenant.items[parts[1]+"|"+parts[2]]
	c.tenant.mu.RUnlock()
	switch {
	case err != nil || c.now.Unix() > until:
		c.fail(http.StatusUnauthorized, "unauthenticated", "The address is not good any more.")
		return
	case f == nil:
		c.fail(http.StatusNotFound, "itemNotFound", "The resource could not be found.")
		return
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.WriteHeader(http.StatusOK)
	_, err = io.Copy(c.w, f.attachment.Reader())
	c.breakOff(err)
}

// quickXor is OneDrive's hash of a file ("QuickXorHash algorithm"): each byte is xored into 160 bits, eleven bits
// further than the one before, and the length into the last 64 of them.
func quickXor(r io.Reader, length int64) string {
	var bits [20]byte
	content, _ := io.ReadAll(r) // the reader of an attachment never fails
	for i, b := range content {
		at := i * 11 % 160
		value := uint16(b) << (at % 8)
		bits[at/8] ^= byte(value)
		bits[(at/8+1)%20] ^= byte(value >> 8)
	}
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(length))
	for i, b := range size {
		bits[12+i] ^= b
	}
	return base64.StdEncoding.EncodeToString(bits[:])
}
