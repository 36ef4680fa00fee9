package enrich

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// atOnce is how many files of one message are read at a time; all of them are in one mailbox.
const atOnce = 4

// files describes every attachment of the message, and after them those that only the audit record names.
// Unless unhashed says why not, files are hashed. The last attempt does not fail: a file that could not be read
// says why.
func (a *Agent) files(ctx context.Context, t task, f located, attached []Attached,
	unhashed forensic.Reason) (all []forensic.Attachment, answered string, err error) {
	of := match(t.message.Files, attached)
	list := make([]forensic.Attachment, len(attached))
	failures := make([]error, len(attached))
	var readers sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, len(attached)) {
		readers.Go(func() {
			for i := range next {
				list[i], failures[i] = a.file(ctx, t, f, attached[i], unhashed)
			}
		})
	}
	for i := range attached {
		next <- i
	}
	close(next)
	readers.Wait()
	if err := worst(failures); err != nil {
		if !t.final {
			return nil, "", err
		}
		answered = answer(err)
	}
	named := make([]bool, len(t.message.Files))
	for i := range list {
		if list[i].Record = of[i]; of[i] < 0 {
			list[i].Missing = forensic.NotInRecord
		} else {
			named[of[i]] = true
		}
	}
	for i, file := range t.message.Files {
		if !named[i] {
			list = append(list, forensic.Attachment{
				Record: i, Missing: forensic.NotInMessage, Name: file.Name, StoredSize: file.StoredSize, Size: -1,
				NoHash: forensic.NotInMessage,
			})
		}
	}
	return list, answered, nil
}

// worst is the failure that asks for the longest wait.
func worst(failures []error) (err error) {
	for _, f := range failures {
		if f != nil && (err == nil || fault.Wait(f) > fault.Wait(err)) {
			err = f
		}
	}
	return err
}

// file describes one attachment. What an earlier attempt of this process has read of the same message is not
// read again.
func (a *Agent) file(ctx context.Context, t task, f located, at Attached,
	unhashed forensic.Reason) (forensic.Attachment, error) {
	made := forensic.Attachment{
		ID: at.ID, Name: at.Name, ContentType: at.ContentType, Kind: at.Kind, Inline: at.Inline, StoredSize: at.StoredSize,
		Size:   -1,
		NoHash: unhashed,
	}
	switch {
	case at.Kind == forensic.ItemKind:
		// Exchange writes an attached message anew at each download, with other bytes each time: a hash of it would
		// match nothing.
		made.NoHash = forensic.ItemAttached
		return made, nil
	case unhashed != "" && at.Kind != forensic.ReferenceKind:
		return made, nil
	}
	for i := range t.message.Files { // an earlier look has read it
		if was := t.message.Files[i].Attachment; was.ID == at.ID && was.ID != "" && was.NoHash == "" {
			return was, nil
		}
	}
	key := keyOf(t.message)
	if done, ok := a.progress.of(key, at.ID); ok {
		return done, nil
	}
	var err error
	if at.Kind == forensic.ReferenceKind {
		err = a.reference(ctx, t, f, &made)
	} else {
		err = a.attachment(ctx, t, f, &made)
	}
	if err != nil && t.final {
		made.NoHash, _ = unfound(err)
		return made, err
	}
	if err != nil {
		return made, err
	}
	a.progress.keep(key, at.ID, made)
	return made, nil
}

// attachment hashes a file of the message. A small one is read in the form that marks its own end. A larger one
// is read as it is. If its length does not fit the listing, or a web page came instead, it is read in the other
// form: a listing may be wrong, but so may a proxy that ends a stream early or puts its own page in its place.
func (a *Agent) attachment(ctx context.Context, t task, f located, made *forensic.Attachment) error {
	encoded := func(ctx context.Context) (sum, error) {
		body, err := a.config.Graph.OpenEncoded(ctx, t.tenant, f.mailbox, f.mail.ID, made.ID)
		if err != nil {
			return sum{}, err
		}
		defer body.Close()
		return a.hash(body, nil)
	}
	return a.read(ctx, t, f.mailbox, made, func(ctx context.Context) (sum, error) {
		if made.StoredSize >= 0 && made.StoredSize <= small {
			return encoded(ctx)
		}
		s, err := a.plain(ctx, t, f, made)
		if err == nil && !plausible(s.size, made.StoredSize, made.Name) {
			return encoded(ctx)
		}
		return s, err
	})
}

// small is up to which stored size a file is read in the longer form at once.
const small = 16 << 10

// plain hashes the bytes as they are. A page in the place of a file that is none has size -1.
func (a *Agent) plain(ctx context.Context, t task, f located, made *forensic.Attachment) (sum, error) {
	body, contentType, err := a.config.Graph.OpenAttachment(ctx, t.tenant, f.mailbox, f.mail.ID, made.ID)
	if err != nil {
		return sum{}, err
	}
	defer body.Close()
	if isPage(contentType) && !isPage(made.ContentType) {
		return sum{size: -1}, nil
	}
	return a.hash(body, nil)
}

// reference finds the file behind a link, and hashes it. What cannot be reached is no failure: links lead anywhere.
func (a *Agent) reference(ctx context.Context, t task, f located, made *forensic.Attachment) error {
	err := a.ask(ctx, t, f.mailbox, func(ctx context.Context) (err error) {
		made.URL, err = a.config.Graph.Source(ctx, t.tenant, f.mailbox, f.mail.ID, made.ID)
		return err
	})
	if err != nil || made.URL == "" {
		return unreached(made, err)
	}
	var shared SharedFile
	err = a.ask(ctx, t, "", func(ctx context.Context) (err error) {
		shared, err = a.config.Graph.ResolveShared(ctx, t.tenant, made.URL)
		return err
	})
	if err != nil || shared.Folder {
		return unreached(made, err)
	}
	made.QuickXor, made.Size = shared.QuickXor, shared.Size
	if made.NoHash != "" {
		return nil
	}
	err = a.read(ctx, t, "", made, func(ctx context.Context) (sum, error) { return a.shared(ctx, t, shared) })
	if err != nil {
		return unreached(made, err)
	}
	return nil
}

// shared hashes the file behind a reference. It is complete if it has the hash that OneDrive reports, or else
// the length. If OneDrive reports neither, a file cannot be distinguished from a part of it, or from a web page, and is
// not hashed.
func (a *Agent) shared(ctx context.Context, t task, f SharedFile) (sum, error) {
	if f.QuickXor == "" && f.Size < 0 {
		return sum{}, &fault.Error{Kind: fault.Poison, Err: errors.New(
			"read a shared file: OneDrive reports neither its hash nor its length")}
	}
	body, _, err := a.config.Graph.OpenShared(ctx, t.tenant, f)
	if err != nil {
		return sum{}, err
	}
	defer body.Close()
	var x quickXor
	s, err := a.hash(body, &x)
	if err != nil {
		return sum{}, err
	}
	if f.QuickXor != "" && f.QuickXor != x.sum() || f.QuickXor == "" && f.Size != s.size {
		return sum{}, &fault.Error{Kind: fault.Retry, Err: errors.New(
			"read a shared file: the bytes do not match its hash or length")}
	}
	return s, nil
}

// unreached says why a reference has no hash, when trying again is useless.
func unreached(made *forensic.Attachment, err error) error {
	if err != nil && again(err) {
		return err
	}
	if made.NoHash == "" {
		made.NoHash = forensic.NotReachable
	}
	if errors.Is(err, ErrNotPermitted) {
		made.NoHash = forensic.NoPermission
	}
	return nil
}

// read takes what of says of the file's bytes.
func (a *Agent) read(ctx context.Context, t task, mailbox string, made *forensic.Attachment,
	of func(context.Context) (sum, error)) error {
	var s sum
	err := a.ask(ctx, t, mailbox, func(ctx context.Context) (err error) {
		s, err = of(ctx)
		return err
	})
	switch {
	case errors.Is(err, errTooLarge):
		made.NoHash = forensic.TooLarge
		return nil
	case err != nil:
		return err
	}
	made.Size, made.MD5, made.SHA256, made.ByBytes = s.size, s.md5, s.sha256, s.media
	return nil
}

// isPage recognises a web page by its content type. Graph sends a file with the type that the listing has.
func isPage(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "text/html" || media == "application/xhtml+xml"
}

// plausible reports whether a file of this size can have that stored size, which includes its name and
// properties: 48 to 237 bytes more were seen. The tighter the bound, the less a stream can lose unnoticed.
func plausible(size, stored int64, name string) bool {
	return size >= 0 && size <= stored && stored-size <= 512+4*int64(len(name))
}
