package enrich_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// The traps of attachments, and of links to files.

func TestInlineImagesAloneAreListedThoughHasAttachmentsIsFalse(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "image001.png", 900)
	a.Inline = true
	st.put(mail(a))
	f := st.finding(told(a))
	hashed(t, f.Files[0], a)
	if !f.Files[0].Inline {
		t.Error("not inline")
	}
}

func TestNoListingCarriesTheFiles(t *testing.T) {
	st := newStage(t, m365sim.Options{GraphPageSize: 2}, staff(), mailRead())
	files := []world.Attachment{file(1, "a.pdf", 50_000), file(2, "b.pdf", 50_000), file(3, "c.pdf", 50_000),
		file(4, "d.pdf", 50_000), file(5, "e.pdf", 50_000)}
	st.put(mail(files...))
	f := st.finding(told(files...))
	for i, a := range files {
		hashed(t, f.Files[i], a)
	}
	listings := st.queries("graph.attachments")
	if len(listings) != 3 {
		t.Errorf("%d pages were listed, want 3", len(listings))
	}
	for _, q := range listings {
		if values, _ := url.ParseQuery(q); values.Get("$select") != "id,name,contentType,size,isInline" ||
			values.Has("$filter") {
			t.Errorf("query %q: contentId is not selectable, $filter is ignored, and without $select every file comes along",
				q)
		}
	}
}

func TestATypeThatTheListingLeavesOutIsAskedFor(t *testing.T) {
	st := newStage(t, m365sim.Options{OmitODataType: true}, staff(), []string{"Mail.Read", "Files.Read.All"})
	pdf, item, link := file(1, "q3.pdf", 300_000), file(2, "RE: other", 2000), file(3, "Plan.docx", 3000)
	item.Kind, link.Kind, link.SourceURL = "item", "reference", "https://cloud.example/plan"
	st.put(mail(pdf, item, link))
	f := st.finding(told(pdf, item, link))
	hashed(t, f.Files[0], pdf)
	hashed(t, f.Files[2], link)
	if f.Files[1].Kind != forensic.ItemKind || f.Files[1].NoHash != forensic.ItemAttached ||
		f.Files[2].Kind != forensic.ReferenceKind {
		t.Errorf("kinds %s %s %s", f.Files[0].Kind, f.Files[1].Kind, f.Files[2].Kind)
	}
}

func TestAnAttachedMessageIsNotHashedAndAReferenceIsNotOpened(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	item, link := file(1, "RE: other", 2000), file(2, "Plan.docx", 3000)
	item.Kind, link.Kind = "item", "reference"
	st.put(mail(item, link))
	f := st.finding(told(item, link))
	if f.Files[0].NoHash != forensic.ItemAttached || f.Files[0].MD5 != "" || f.Files[0].Size != -1 {
		t.Errorf("an attached message: %+v", f.Files[0])
	}
	if got := st.queries("graph.value"); len(got) != 0 {
		t.Errorf("%d downloads; a reference answers 405, and an item is written anew each time", len(got))
	}
}

func TestTheSizeIsThatOfTheBytes(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	small, large := file(1, "small.pdf", 816), file(2, "large.pdf", 1_000_000)
	small.StoredSize = 1053
	st.put(mail(small, large))
	f := st.finding(told(small, large))
	hashed(t, f.Files[0], small)
	hashed(t, f.Files[1], large)
	if f.Files[0].StoredSize != 1053 {
		t.Errorf("stored size %d", f.Files[0].StoredSize)
	}
}

func TestAnEncryptedMessageHasOneAttachmentAndTheRecordsNamesAreKept(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	smime := file(1, "smime.p7m", 90_000)
	st.put(mail(smime))
	f := st.finding(told(file(2, "q3.pdf", 30_000), file(3, "q4.pdf", 40_000)))
	hashed(t, f.Files[0], smime)
	var got []forensic.Reason
	for _, file := range f.Files {
		got = append(got, file.Missing)
	}
	if !slices.Equal(got, []forensic.Reason{forensic.NotInRecord, forensic.NotInMessage, forensic.NotInMessage}) ||
		f.Files[2].Name != "q4.pdf" || f.Files[2].Record != 1 {
		t.Errorf("files %+v", f.Files)
	}
}

func TestAReferenceHasNoAddressInVersion1AndIsResolvedThroughTheBeta(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), []string{"Mail.Read", "Files.Read.All"})
	link := file(1, "Plan.docx", 300_000)
	link.Kind, link.SourceURL, link.StoredSize = "reference",
		"https://cloud.example/personal/ada/Plan & more.docx?web=1", 400
	st.put(mail(link))
	f := st.finding(told(link)).Files[0]
	hashed(t, f, link)
	if f.QuickXor == "" || f.URL != link.SourceURL || f.StoredSize != 400 {
		t.Errorf("%+v: the quickXorHash is all that OneDrive for Business tells", f)
	}
}

func TestReferencesThatCannotBeReadSayWhy(t *testing.T) {
	for _, tc := range []struct {
		name    string
		roles   []string
		arrange func(*stage, *world.Attachment)
		want    forensic.Reason
	}{
		{"Files.Read.All is missing", mailRead(), nil, forensic.NoPermission},
		{"no address is told", []string{"Mail.Read", "Files.Read.All"},
			func(_ *stage, a *world.Attachment) { a.SourceURL = "" }, forensic.NotReachable},
		{"a folder", []string{"Mail.Read", "Files.Read.All"}, func(_ *stage, a *world.Attachment) { a.Folder = true },
			forensic.NotReachable},
		{"the beta is not served", []string{"Mail.Read", "Files.Read.All"}, func(st *stage, _ *world.Attachment) {
			st.sim.Fault(m365sim.Fault{Op: "graph.beta", Status: 404, Code: "UnknownPath"})
		}, forensic.NotReachable},
		{"the site is closed to the application", []string{"Mail.Read", "Files.Read.All"},
			func(st *stage, _ *world.Attachment) {
				st.sim.Fault(m365sim.Fault{Op: "graph.shares", Status: 403, Code: "accessDenied"})
			}, forensic.NotReachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, m365sim.Options{}, staff(), tc.roles)
			link, pdf := file(1, "Plan.docx", 3000), file(2, "q3.pdf", 2000)
			link.Kind, link.SourceURL = "reference", "https://cloud.example/plan"
			if tc.arrange != nil {
				tc.arrange(st, &link)
			}
			st.put(mail(link, pdf))
			f := st.finding(told(link, pdf))
			if f.Files[0].NoHash != tc.want || f.Files[0].MD5 != "" {
				t.Errorf("%+v", f.Files[0])
			}
			hashed(t, f.Files[1], pdf)
			if waited := st.sim.Now().Sub(noon); waited > time.Minute {
				t.Errorf("the message waited %s for a file that nobody promised", waited)
			}
		})
	}
}

// A file behind a link has the hash or the length that OneDrive reports, or none of ours.
func TestAFileBehindALinkThatDoesNotComeWholeHasNoHash(t *testing.T) {
	for name, tell := range map[string]func(*enrich.SharedFile){
		"by its quickXorHash": func(f *enrich.SharedFile) { f.Size = -1 },
		"by its length":       func(f *enrich.SharedFile) { f.QuickXor = "" },
		"by nothing":          func(f *enrich.SharedFile) { f.QuickXor, f.Size = "", -1 },
	} {
		for _, broken := range []m365sim.Fault{{TornAt: 250_000, Silent: true}, {TornAt: 250_000, Silent: true, Times: 1},
			{Page: true}} {
			t.Run(fmt.Sprintf("%s, %+v", name, broken), func(t *testing.T) {
				t.Parallel()
				st := newStage(t, m365sim.Options{}, staff(), []string{"Mail.Read", "Files.Read.All"},
					func(c *enrich.Config) { c.Graph = &telling{c.Graph, tell} })
				link := file(1, "Plan.docx", 300_000)
				link.Kind, link.SourceURL = "reference", "https://cloud.example/plan"
				st.put(mail(link))
				broken.Op = "files.download"
				st.sim.Fault(broken)
				f := st.finding(told(link)).Files[0]
				switch {
				case name == "by nothing":
					if f.NoHash != forensic.NotReachable || f.MD5+f.SHA256 != "" {
						t.Errorf("%+v", f)
					}
				case broken.Times > 0:
					hashed(t, f, link)
				case f.NoHash != forensic.OutOfTime || f.MD5+f.SHA256 != "":
					t.Errorf("%+v", f)
				}
			})
		}
	}
}

// telling is a Graph that reports less about shared files.
type telling struct {
	enrich.Graph
	tell func(*enrich.SharedFile)
}

func (g *telling) ResolveShared(ctx context.Context, t connection.Tenant, address string) (enrich.SharedFile, error) {
	f, err := g.Graph.ResolveShared(ctx, t, address)
	g.tell(&f)
	return f, err
}

func TestAReferenceWhoseFileIsDeletedIsUnreachable(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), []string{"Mail.Read", "Files.Read.All"})
	link := file(1, "Plan.docx", 3000)
	link.Kind, link.SourceURL = "reference", "https://cloud.example/plan"
	st.put(mail(link))
	if err := st.sim.RemoveFile(tenantID, link.SourceURL); err != nil {
		t.Fatal(err)
	}
	if f := st.finding(told(link)).Files[0]; f.NoHash != forensic.NotReachable || f.URL != link.SourceURL {
		t.Errorf("%+v", f)
	}
}

func TestAShareLinkThatGraphDoesNotListStaysWithTheRecord(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	st.put(mail())
	f := st.finding(told(file(1, "Plan on OneDrive.docx", 400)))
	if len(f.Files) != 1 || f.Files[0].Missing != forensic.NotInMessage || f.Files[0].NoHash != forensic.NotInMessage ||
		len(f.Recipients) != 1 {
		t.Errorf("%+v", f)
	}
}
