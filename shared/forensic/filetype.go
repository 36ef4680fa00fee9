package forensic

import (
	"slices"
	"strings"
	"sync"
)

// FileType is what a file is: Incydr's file category, and the media type, "" if unknown.
type FileType struct{ Category, MIME string }

// Uncategorized is the category of a file of no known type.
const Uncategorized = "Uncategorized"

// TypeByName returns the type that the name's extension indicates.
func TypeByName(name string) FileType {
	if t, ok := fileTypes().byExtension[Extension(name)]; ok {
		return t
	}
	return FileType{Category: Uncategorized}
}

// TypeByMIME returns the type that a media type indicates. The media type was read from a file's first bytes; its
// parameters are ignored.
func TypeByMIME(mime string) FileType {
	mime, _, _ = strings.Cut(mime, ";")
	mime = strings.ToLower(strings.TrimSpace(mime))
	if other, ok := otherNames()[mime]; ok {
		mime = other
	}
	if category, ok := fileTypes().byMIME[mime]; ok {
		return FileType{category, mime}
	}
	family, _, _ := strings.Cut(mime, "/")
	switch family {
	case "audio":
		return FileType{"Audio", mime}
	case "image":
		return FileType{"Image", mime}
	case "text":
		return FileType{"Document", mime}
	case "video":
		return FileType{"Video", mime}
	}
	return FileType{Uncategorized, mime}
}

// otherNames maps other names of media types, above all those that web browsers use when sniffing.
func otherNames() map[string]string {
	return map[string]string{
		"application/x-rar-compressed": "application/vnd.rar",
		"application/x-gzip":           "application/gzip",
		"text/xml":                     "application/xml",
		"audio/wave":                   "audio/wav",
		"video/avi":                    "video/x-msvideo",
		"image/x-icon":                 "image/vnd.microsoft.icon",
		"application/x-msdownload":     "application/vnd.microsoft.portable-executable",
	}
}

// TypeOf returns what a file is. Its bytes count for more than its name (Incydr: file mismatch). If the bytes only
// show the kind of container or text that the name's type is kept in, the name says more.
func TypeOf(name, byBytes string) FileType {
	byName := TypeByName(name)
	if byBytes == "" {
		return byName
	}
	sniffed := TypeByMIME(byBytes)
	if sniffed.MIME == "application/octet-stream" || sniffed.MIME == byName.MIME || keptIn(byName, sniffed.MIME) {
		return byName
	}
	return sniffed
}

// keptIn reports whether files of a type begin as those of a more general media type do.
func keptIn(t FileType, general string) bool {
	begins := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(t.MIME, p) })
	}
	is := func(types string) bool { return slices.Contains(strings.Fields(types), t.MIME) }
	switch general {
	case "application/zip": // Office Open XML, OpenDocument, and other packages
		return strings.HasSuffix(t.MIME, ".12") ||
			begins("application/vnd.openxmlformats-", "application/vnd.oasis.opendocument.", "application/vnd.apple.") ||
			is(`application/epub+zip application/java-archive application/vnd.android.package-archive
			application/vnd.ms-xpsdocument application/vnd.ms-visio.drawing`)
	case "application/x-ole-storage", "application/x-cfb", "application/vnd.ms-office": // the older formats of Office
		return is(`application/msword application/vnd.ms-excel application/vnd.ms-powerpoint
			application/vnd.ms-outlook application/vnd.visio application/x-msi`)
	case "application/gzip", "application/x-tar":
		return t.Category == "Archive" || t.MIME == "application/x-tar"
	case "application/xml":
		return strings.HasSuffix(t.MIME, "xml") || t.Category == "SourceCode" || begins("text/")
	case "application/vnd.microsoft.portable-executable", "application/x-dosexec":
		return t.Category == "Executable"
	}
	if strings.HasPrefix(general, "text/") {
		return t.Category == "Script" || t.Category == "SourceCode" || begins("text/") ||
			is(`application/json application/xml application/yaml application/rtf message/rfc822 image/svg+xml
			application/postscript`)
	}
	family, _, _ := strings.Cut(general, "/")
	return (family == "audio" || family == "video") && begins("audio/", "video/")
}

type typeTable struct {
	byExtension map[string]FileType
	byMIME      map[string]string // to the category; if there are several, the first
}

var fileTypes = sync.OnceValue(func() typeTable {
	t := typeTable{byExtension: make(map[string]FileType), byMIME: make(map[string]string)}
	for _, c := range categories() {
		for _, e := range strings.Fields(c[1]) {
			ext, mime, _ := strings.Cut(e, "=")
			t.byExtension[ext] = FileType{c[0], mime}
			if _, ok := t.byMIME[strings.ToLower(mime)]; !ok && mime != "" {
				t.byMIME[strings.ToLower(mime)] = c[0]
			}
		}
	}
	return t
})

// Extensions returns all known extensions with their types. Callers must not change the map.
func Extensions() map[string]FileType { return fileTypes().byExtension }

// categories lists extensions by Incydr's category, each with its media type.
func categories() [][2]string {
	return [][2]string{
		{"Archive", `zip=application/zip 7z=application/x-7z-compressed rar=application/vnd.rar
		tar=application/x-tar gz=application/gzip tgz=application/gzip bz2=application/x-bzip2 xz=application/x-xz
		zst=application/zstd cab=application/vnd.ms-cab-compressed jar=application/java-archive
		pst=application/vnd.ms-outlook-pst arj=application/x-arj lzh=application/x-lzh-compressed
		z=application/x-compress`},
		{"Audio", `mp3=audio/mpeg wav=audio/wav m4a=audio/mp4 aac=audio/aac flac=audio/flac ogg=audio/ogg
		wma=audio/x-ms-wma aiff=audio/aiff mid=audio/midi amr=audio/amr opus=audio/opus`},
		{"Document", `doc=application/msword dot=application/msword
		docm=application/vnd.ms-word.document.macroEnabled.12
		docx=application/vnd.openxmlformats-officedocument.wordprocessingml.document
		dotx=application/vnd.openxmlformats-officedocument.wordprocessingml.template
		odt=application/vnd.oasis.opendocument.text rtf=application/rtf txt=text/plain md=text/markdown
		log=text/plain pages=application/vnd.apple.pages wpd=application/vnd.wordperfect
		xps=application/vnd.ms-xpsdocument epub=application/epub+zip msg=application/vnd.ms-outlook
		eml=message/rfc822 html=text/html htm=text/html mht=message/rfc822 one=application/onenote
		vsd=application/vnd.visio vsdx=application/vnd.ms-visio.drawing ics=text/calendar vcf=text/vcard
		xml=application/xml json=application/json yaml=application/yaml yml=application/yaml`},
		{"Executable", `exe=application/vnd.microsoft.portable-executable
		dll=application/vnd.microsoft.portable-executable msi=application/x-msi app=
		apk=application/vnd.android.package-archive com=application/x-dosexec scr=application/x-dosexec
		deb=application/vnd.debian.binary-package rpm=application/x-rpm pkg= bin=application/octet-stream
		elf=application/x-elf sys=`},
		{"Image", `jpg=image/jpeg jpeg=image/jpeg png=image/png gif=image/gif bmp=image/bmp tif=image/tiff
		tiff=image/tiff svg=image/svg+xml webp=image/webp heic=image/heic heif=image/heif
		ico=image/vnd.microsoft.icon psd=image/vnd.adobe.photoshop ai=application/postscript
		eps=application/postscript raw= dwg=image/vnd.dwg dxf=image/vnd.dxf emf=image/emf wmf=image/wmf`},
		{"Pdf", `pdf=application/pdf`},
		{"Presentation", `ppt=application/vnd.ms-powerpoint pps=application/vnd.ms-powerpoint
		pot=application/vnd.ms-powerpoint
		pptx=application/vnd.openxmlformats-officedocument.presentationml.presentation
		ppsx=application/vnd.openxmlformats-officedocument.presentationml.slideshow
		potx=application/vnd.openxmlformats-officedocument.presentationml.template
		pptm=application/vnd.ms-powerpoint.presentation.macroEnabled.12
		odp=application/vnd.oasis.opendocument.presentation key=application/vnd.apple.keynote`},
		{"Script", `bat=application/x-bat cmd=application/x-bat ps1=text/plain psm1=text/plain sh=application/x-sh
		bash=application/x-sh vbs=text/vbscript vbe= wsf= js=text/javascript mjs=text/javascript pl=text/x-perl
		lua=text/x-lua awk= applescript=`},
		{"SourceCode", `c=text/x-c h=text/x-c cpp=text/x-c++ cc=text/x-c++ hpp=text/x-c++ cs=text/x-csharp
		go=text/x-go java=text/x-java kt=text/x-kotlin py=text/x-python rb=text/x-ruby php=text/x-php
		rs=text/x-rust swift=text/x-swift scala=text/x-scala ts=text/x-typescript tsx=text/x-typescript
		jsx=text/javascript m=text/x-objective-c r=text/x-r sql=application/sql css=text/css scss=text/x-scss vue=
		tf= proto= ipynb=application/x-ipynb+json class=application/java-vm asm=text/x-asm`},
		{"Spreadsheet", `xls=application/vnd.ms-excel xlt=application/vnd.ms-excel
		xlsx=application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
		xltx=application/vnd.openxmlformats-officedocument.spreadsheetml.template
		xlsm=application/vnd.ms-excel.sheet.macroEnabled.12
		xlsb=application/vnd.ms-excel.sheet.binary.macroEnabled.12
		ods=application/vnd.oasis.opendocument.spreadsheet csv=text/csv tsv=text/tab-separated-values
		numbers=application/vnd.apple.numbers`},
		{"Video", `mp4=video/mp4 m4v=video/x-m4v mov=video/quicktime avi=video/x-msvideo mkv=video/x-matroska
		wmv=video/x-ms-wmv webm=video/webm mpg=video/mpeg mpeg=video/mpeg flv=video/x-flv 3gp=video/3gpp`},
		{"VirtualDiskImage", `iso=application/x-iso9660-image img=application/x-raw-disk-image
		dmg=application/x-apple-diskimage vhd=application/x-vhd vhdx=application/x-vhdx vmdk=application/x-vmdk
		vdi=application/x-vdi ova=application/x-tar ovf=application/xml qcow2=application/x-qemu-disk`},
	}
}
