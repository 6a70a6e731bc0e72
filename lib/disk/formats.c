/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/formats.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "disk/signs.h"

#define QEMU_IMG "qemu-img convert -O raw"
/* The table is laid out by hand, a line for a row where it fits. */
/* clang-format off */
#define AT(offset, text) { offset, sizeof(text) - 1, text }

/*
 * A signature of two or three bytes is not enough by itself: what else such a file must have is
 * then asked for. The order is that of the manual page; where two agree, the first counts.
 */
const struct gow_file_format gow_file_formats[] = {
	/* Read. */
	{ "gzip data", GOW_DEED_DECOMPRESS, ".gz .tgz .taz", NULL, .signs = { AT(0, "\x1f\x8b\x08") } },
	{ "bzip2 data", GOW_DEED_DECOMPRESS, ".bz2 .bz .tbz .tbz2 .tb2", NULL, .signs = { AT(0, "BZh") },
	  .agrees = gow_sign_bzip2 },
	{ "xz data", GOW_DEED_DECOMPRESS, ".xz .txz", NULL, .signs = { AT(0, "\xfd" "7zXZ\0") } },
	{ "zstd data", GOW_DEED_DECOMPRESS, ".zst .zstd .tzst", NULL, .signs = { AT(0, "\x28\xb5\x2f\xfd") } },
	{ "lz4 data", GOW_DEED_DECOMPRESS, ".lz4 .tlz4", NULL, .signs = { AT(0, "\x04\x22\x4d\x18") } },
	{ "zstd or lz4 data", GOW_DEED_DECOMPRESS, "", NULL, .signs = { { 0, 0, NULL } },
	  .agrees = gow_sign_skippable },
	{ "lzip data", GOW_DEED_DECOMPRESS, ".lz", NULL, .signs = { AT(0, "LZIP\x01") } },
	{ "compress data", GOW_DEED_DECOMPRESS, ".z .taz", NULL, .signs = { AT(0, "\x1f\x9d") },
	  .agrees = gow_sign_compress },
	{ "a zip archive", GOW_DEED_ARCHIVE, ".zip .jar .zipx", NULL,
	  .signs = { AT(0, "PK\x03\x04"), AT(0, "PK\x05\x06"), AT(0, "PK\x07\x08PK\x03\x04"),
	    AT(0, "PK00PK\x03\x04") } },
	{ "a 7z archive", GOW_DEED_ARCHIVE, ".7z", NULL, .signs = { AT(0, "7z\xbc\xaf\x27\x1c") } },
	{ "a cpio archive", GOW_DEED_ARCHIVE, ".cpio", NULL,
	  .signs = { AT(0, "070701"), AT(0, "070702"), AT(0, "070707") } },
	{ "an old cpio archive", GOW_DEED_ARCHIVE, "", NULL, .signs = { { 0, 0, NULL } },
	  .agrees = gow_sign_old_cpio },
	/* A damaged tar header is not a disk's either. */
	{ "a tar archive", GOW_DEED_ARCHIVE, ".tar .ova", NULL, .signs = { AT(257, "ustar") },
	  .agrees = gow_sign_whole_header },
	{ "an old tar archive", GOW_DEED_ARCHIVE, "", NULL, .signs = { { 0, 0, NULL } },
	  .agrees = gow_sign_tar },

	/* Other disk formats. */
	{ "a qcow2 image", GOW_DEED_CONVERT, ".qcow2 .qcow2c", QEMU_IMG,
	  .signs = { AT(0, "QFI\xfb\0\0\0\x02"), AT(0, "QFI\xfb\0\0\0\x03") } },
	{ "a qcow image", GOW_DEED_CONVERT, ".qcow", QEMU_IMG, .signs = { AT(0, "QFI\xfb") } },
	{ "a VMDK image", GOW_DEED_CONVERT, ".vmdk", QEMU_IMG,
	  .signs = { AT(0, "KDMV"), AT(0, "COWD"), AT(0, "SE\xad\xca"), AT(0, "# Disk DescriptorFile"),
	    AT(0, "# Disk Descriptor File") } },
	{ "a VDI image", GOW_DEED_CONVERT, ".vdi", QEMU_IMG, .signs = { AT(64, "\x7f\x10\xda\xbe") } },
	{ "a VHDX image", GOW_DEED_CONVERT, ".vhdx .avhdx", QEMU_IMG, .signs = { AT(0, "vhdxfile") } },
	{ "a VHD image", GOW_DEED_CONVERT, ".vhd .vpc .avhd", QEMU_IMG, .signs = { AT(0, "conectix") },
	  .ends = gow_sign_vhd_footer },
	{ "a QED image", GOW_DEED_CONVERT, ".qed", QEMU_IMG, .signs = { AT(0, "QED\0") } },
	{ "a Parallels image", GOW_DEED_CONVERT, ".hds .hdd", QEMU_IMG,
	  .signs = { AT(0, "WithoutFreeSpace"), AT(0, "WithouFreSpacExt") } },
	{ "a Bochs image", GOW_DEED_CONVERT, "", QEMU_IMG, .signs = { AT(0, "Bochs Virtual HD Image") } },
	{ "a cloop image", GOW_DEED_CONVERT, ".cloop", QEMU_IMG, .signs = { AT(0, "#!/bin/sh\n#V2.0 Format") } },
	{ "a UML copy-on-write image", GOW_DEED_CONVERT, "", NULL, .signs = { AT(0, "OOOM") } },
	{ "an Android sparse image", GOW_DEED_CONVERT, ".simg", "simg2img",
	  .signs = { AT(0, "\x3a\xff\x26\xed\x01\0") } },
	{ "an Apple disk image (dmg)", GOW_DEED_CONVERT, ".dmg .sparseimage", QEMU_IMG,
	  .signs = { AT(0, "sprs"), AT(0, "encrcdsa"), AT(0, "koly\0\0\0\x04"), AT(0, "shdw") },
	  .ends = gow_sign_dmg },
	{ "an EWF (EnCase) image", GOW_DEED_CONVERT, ".e01 .ex01 .s01 .l01", "ewfexport -f raw",
	  .signs = { AT(0, "EVF\x09\x0d\x0a\xff\0"), AT(0, "EVF2\x0d\x0a\x81\0"),
	    AT(0, "LVF\x09\x0d\x0a\xff\0"), AT(0, "LEF2\x0d\x0a\x81\0") } },
	{ "an AFF image", GOW_DEED_CONVERT, ".aff", "affconvert -r", .signs = { AT(0, "AFF10\x0d\x0a\0") } },
	{ "a partclone image", GOW_DEED_CONVERT, "", "partclone.restore", .signs = { AT(0, "partclone-image") } },
	{ "a partimage image", GOW_DEED_CONVERT, "", "partimage restore", .signs = { AT(0, "PaRtImAgE-VoLuMe") } },
	{ "an ntfsclone image", GOW_DEED_CONVERT, "", "ntfsclone --restore-image",
	  .signs = { AT(0, "\0ntfsclone-image") } },
	{ "an fsarchiver archive", GOW_DEED_CONVERT, ".fsa", "fsarchiver restfs", .signs = { AT(0, "FsA") },
	  .agrees = gow_sign_fsarchiver },
	{ "a Ghost image", GOW_DEED_CONVERT, ".gho .ghs", NULL, .signs = { AT(0, "\xfe\xef\x01") } },
	{ "a WIM image", GOW_DEED_CONVERT, ".wim .esd .swm", "wimapply",
	  .signs = { AT(0, "MSWIM\0\0\0"), AT(0, "WLPWM\0\0\0") } },
	{ "a CD image of raw sectors", GOW_DEED_CONVERT, "", "bchunk",
	  .signs = { AT(0, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0") } },
	{ "a floppy image of another program", GOW_DEED_CONVERT, ".imd .td0 .hfe .dms .adz", NULL,
	  .signs = { AT(0, "IMD 0."), AT(0, "IMD 1."), AT(0, "TD\0"), AT(0, "td\0"), AT(0, "HXCPICFE"),
	    AT(0, "DMS!"), AT(0, "Formatted Disk Image file") } },
	{ "a disk image of another program", GOW_DEED_CONVERT,
	  ".tib .tibx .nrg .mdf .mds .cue .ccd .pvi .v2i .sv2i .vma .hdd.gz .qcow2.part .vbk .vib .vrb "
	  ".mrimg .mrbak .pvhd .isz .daa .uif .cdi",
	  NULL,
	  .signs = { AT(0, "VMA\0\0\0\0\1"), AT(0, "\xb4\x6e\x68\x44"), AT(0, "IsZ!"),
	    AT(0, "DAA\0\0\0\0\0") } },

	/* Packed data that is not read. */
	{ "lzma data", GOW_DEED_UNPACK, ".lzma .tlz", "xz -d", .signs = { AT(0, "\x5d\0\0") },
	  .agrees = gow_sign_lzma },
	{ "lzop data", GOW_DEED_UNPACK, ".lzo .tzo", "lzop -d", .signs = { AT(0, "\x89LZO\0\x0d\x0a\x1a\x0a") } },
	{ "lz4 data in the legacy form", GOW_DEED_UNPACK, "", "lz4 -d", .signs = { AT(0, "\x02\x21\x4c\x18") } },
	{ "lrzip data", GOW_DEED_UNPACK, ".lrz .tlrz", "lrzip -d", .signs = { AT(0, "LRZI") } },
	{ "rzip data", GOW_DEED_UNPACK, ".rz", "rzip -d", .signs = { AT(0, "RZIP") } },
	{ "zpaq data", GOW_DEED_UNPACK, ".zpaq", "zpaq x",
	  .signs = { AT(0, "7kSt"), AT(0, "zPQ"), AT(0, "\x37\x6b\x53\x74\xa0\x31\x83\xd3") } },
	{ "zstd data of an old version", GOW_DEED_UNPACK, "", "zstd -d",
	  .signs = { AT(0, "\x1e\xb5\x2f\xfd"), AT(0, "\x22\xb5\x2f\xfd"), AT(0, "\x23\xb5\x2f\xfd"),
	    AT(0, "\x24\xb5\x2f\xfd"), AT(0, "\x25\xb5\x2f\xfd"), AT(0, "\x26\xb5\x2f\xfd"),
	    AT(0, "\x27\xb5\x2f\xfd") } },
	{ "lz5 or lizard data", GOW_DEED_UNPACK, ".lz5 .liz", NULL,
	  .signs = { AT(0, "\x05\x22\x4d\x18"), AT(0, "\x06\x22\x4d\x18") } },
	{ "bzip3 data", GOW_DEED_UNPACK, ".bz3", "bzip3 -d", .signs = { AT(0, "BZ3v1") } },
	{ "zlib data", GOW_DEED_UNPACK, ".zz .zlib", "pigz -d", .signs = { { 0, 0, NULL } } },
	{ "data packed by compress.exe", GOW_DEED_UNPACK, "", "msexpand",
	  .signs = { AT(0, "SZDD\x88\xf0\x27\x33"), AT(0, "KWAJ\x88\xf0\x27\xd1") } },
	{ "snappy data", GOW_DEED_UNPACK, ".sz .snappy", NULL, .signs = { AT(0, "\xff\x06\0\0sNaPpY") } },
	{ "brotli data", GOW_DEED_UNPACK, ".br .tbr", "brotli -d", .signs = { AT(0, "\xce\xb2\xcf\x81") } },
	{ "lzfse data", GOW_DEED_UNPACK, ".lzfse", NULL, .signs = { AT(0, "bvx2"), AT(0, "bvx-"), AT(0, "bvxn") } },
	{ "grzip data", GOW_DEED_UNPACK, ".grz", NULL, .signs = { AT(0, "GRZipII\0\x02\x04:)") } },
	{ "pack data", GOW_DEED_UNPACK, "", "gzip -d", .signs = { AT(0, "\x1f\x1e"), AT(0, "\x1f\xa0") },
	  .agrees = gow_sign_pack },
	{ "a RAR archive", GOW_DEED_UNPACK, ".rar .cbr .rev", "unrar x",
	  .signs = { AT(0, "Rar!\x1a\x07"), AT(0, "RE~^") } },
	{ "a cabinet archive", GOW_DEED_UNPACK, ".cab", "cabextract",
	  .signs = { AT(0, "MSCF\0\0\0\0"), AT(0, "ISc(") } },
	{ "an LHA archive", GOW_DEED_UNPACK, ".lha .lzh", "lha x", .signs = { AT(2, "-l"), AT(2, "-p") },
	  .agrees = gow_sign_lha },
	{ "a xar archive", GOW_DEED_UNPACK, ".xar .pkg .xip", "xar -x", .signs = { AT(0, "xar!\0") } },
	{ "an ar archive", GOW_DEED_UNPACK, ".deb .udeb", "ar x",
	  .signs = { AT(0, "!<arch>\n"), AT(0, "!<thin>\n"), AT(0, "<bigaf>\n") } },
	{ "a web archive (warc)", GOW_DEED_UNPACK, ".warc", NULL, .signs = { AT(0, "WARC/") } },
	{ "an rpm package", GOW_DEED_UNPACK, ".rpm .srpm", "rpm2cpio", .signs = { AT(0, "\xed\xab\xee\xdb") } },
	{ "an ARJ archive", GOW_DEED_UNPACK, ".arj", "arj x", .signs = { AT(0, "\x60\xea") },
	  .agrees = gow_sign_arj },
	{ "an ACE archive", GOW_DEED_UNPACK, ".ace", "unace x", .signs = { AT(7, "**ACE**") } },
	{ "a zoo archive", GOW_DEED_UNPACK, ".zoo", "zoo x", .signs = { AT(20, "\xdc\xa7\xc4\xfd") } },
	{ "a StuffIt archive", GOW_DEED_UNPACK, ".sit .sitx .hqx", "unar",
	  .signs = { AT(0, "StuffIt "), AT(0, "SIT!"), AT(0, "StuffIt!"),
	    AT(0, "(This file must be converted with BinHex") } },
	{ "an ALZ archive", GOW_DEED_UNPACK, ".alz .egg", "unar", .signs = { AT(0, "ALZ\x01"), AT(0, "EGGA") } },
	{ "a DAR archive", GOW_DEED_UNPACK, ".dar", "dar -x", .signs = { AT(0, "\0\0\0\x7b") },
	  .agrees = gow_sign_dar },
	{ "a shell archive", GOW_DEED_UNPACK, ".shar", "sh",
	  .signs = { AT(0, "# This is a shell archive"), AT(0, "#!/bin/sh\n# This is a shell archive") } },
	{ "an mtree list", GOW_DEED_NO_DISK, ".mtree", NULL, .signs = { AT(0, "#mtree") } },
	{ "a BSD dump", GOW_DEED_UNPACK, "", "restore -x",
	  .signs = { AT(24, "\x6b\xea\0\0"), AT(24, "\x6c\xea\0\0"), AT(24, "\0\0\xea\x6b"),
	    AT(24, "\0\0\xea\x6c"), AT(24, "\x19\x01\x54\x19") } },
	{ "an xfsdump", GOW_DEED_UNPACK, "", "xfsrestore", .signs = { AT(0, "xFSdump0") } },
	{ "a btrfs send stream", GOW_DEED_UNPACK, "", "btrfs receive", .signs = { AT(0, "btrfs-stream\0") } },
	{ "a ZFS send stream", GOW_DEED_UNPACK, "", "zfs receive",
	  .signs = { AT(8, "\xac\xcb\xba\xf5\x02\0\0\0"), AT(8, "\0\0\0\x02\xf5\xba\xcb\xac") } },
	{ "uuencoded data", GOW_DEED_UNPACK, ".uu .uue", "uudecode",
	  .signs = { AT(0, "begin 0"), AT(0, "begin 1"), AT(0, "begin 4"), AT(0, "begin 6"),
	    AT(0, "begin 7") },
	  .agrees = gow_sign_uuencode },
	{ "base64 data", GOW_DEED_UNPACK, ".b64 .base64", "uudecode", .signs = { AT(0, "begin-base64 ") } },
	{ "yEnc data", GOW_DEED_UNPACK, ".yenc .ync", NULL, .signs = { AT(0, "=ybegin ") } },
	{ "a mail or a MIME message", GOW_DEED_UNPACK, ".eml .mime", NULL,
	  .signs = { AT(0, "MIME-Version: "), AT(0, "Return-Path: "), AT(0, "Received: ") } },
	{ "encrypted data (age)", GOW_DEED_UNPACK, ".age", "age -d",
	  .signs = { AT(0, "age-encryption.org/v"), AT(0, "-----BEGIN AGE ENCRYPTED FILE") } },
	{ "encrypted data (PGP)", GOW_DEED_UNPACK, ".gpg .pgp .asc", "gpg -d",
	  .signs = { AT(0, "-----BEGIN PGP ") } },
	{ "encrypted data (openssl)", GOW_DEED_UNPACK, ".enc .aes .ccrypt .cpt", "openssl enc -d",
	  .signs = { AT(0, "Salted__"), AT(0, "AES\x02\0") } },
	{ "a delta", GOW_DEED_UNPACK, ".xdelta .vcdiff .bsdiff .rdiff .zsync", NULL,
	  .signs = { AT(0, "\xd6\xc3\xc4"), AT(0, "BSDIFF4"), AT(0, "zsync: "), AT(0, "rs\x02\x36") } },
	{ "a part of a larger file", GOW_DEED_UNPACK,
	  ".part .partial .crdownload .download .filepart .!ut .aria2 .opdownload", NULL,
	  .signs = { { 0, 0, NULL } } },

	/* What goes with images. */
	{ "a manifest", GOW_DEED_OURS, ".manifest", NULL, .signs = { AT(0, "gow-manifest ") } },
	{ "an undo file", GOW_DEED_OURS, ".gow-undo", NULL, .signs = { AT(0, "GOW-UNDO"), AT(0, "GOW-LINK") } },
	{ "the index of a salvage file", GOW_DEED_OURS, ".index", NULL, .signs = { AT(0, "gow-salvage ") } },
	{ "a layout file", GOW_DEED_OURS, ".layout", NULL, .signs = { AT(0, "gow-layout ") } },
	{ "the state of a sync", GOW_DEED_OURS, ".gow-sync", NULL,
	  .signs = { AT(0, "gow-sync"), AT(0, "GOW-SYNC") } },
	{ "the metadata of an image", GOW_DEED_OURS, ".gow-meta .gow-dump", NULL,
	  .signs = { AT(0, "gow-metadata "), AT(0, "gow-dump ") } },

	/* Other files beside disks. */
	{ "a bmap file", GOW_DEED_NO_DISK, ".bmap", NULL, .signs = { { 0, 0, NULL } } },
	{ "an XML text", GOW_DEED_NO_DISK, ".xml .ovf .vbox .nvram .vmx .vmxf .vmsd .vmem .vswp .pvs",
	  NULL, .signs = { AT(0, "<?xml "), AT(0, "\xef\xbb\xbf<?xml "), AT(0, "<domain") } },
	{ "a text", GOW_DEED_NO_DISK,
	  ".txt .md .html .htm .json .yaml .yml .conf .cfg .ini .log .nfo .mf .cert .sh .c .h .py "
	  ".csv .rst .diz",
	  NULL, .signs = { AT(0, "<!DOCTYPE"), AT(0, "<html"), AT(0, "#!/"), AT(0, "#! /") } },
	{ "a list of sums", GOW_DEED_NO_DISK,
	  ".md5 .sha1 .sha256 .sha512 .sfv .sig .sum .md5sum .sha1sum .sha256sum .sha512sum "
	  ".torrent .par2 .minisig",
	  NULL, .signs = { AT(0, "PAR2\0PKT"), AT(0, "d8:announce") } },
	{ "a document or a picture", GOW_DEED_NO_DISK,
	  ".pdf .doc .docx .xls .xlsx .odt .png .jpg .jpeg .gif .bmp .tif .tiff .svg .ps .mp3 .mp4 "
	  ".avi .mkv .ogg .wav",
	  NULL,
	  .signs = { AT(0, "%PDF-"), AT(0, "\x89PNG\x0d\x0a\x1a\x0a"), AT(0, "\xff\xd8\xff"), AT(0, "GIF8"),
	    AT(0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), AT(0, "II*\0"), AT(0, "MM\0*") } },
	{ "a sound or a film", GOW_DEED_NO_DISK, "", NULL,
	  .signs = { AT(0, "OggS\0"), AT(0, "fLaC\0"), AT(0, "RIFF"), AT(0, "\x1a\x45\xdf\xa3"),
	    AT(4, "ftyp"), AT(0, "ID3\x03"), AT(0, "ID3\x04") } },
	{ "a PostScript or RTF document", GOW_DEED_NO_DISK, ".rtf", NULL,
	  .signs = { AT(0, "%!PS-"), AT(0, "{\\rtf"), AT(0, "\xc5\xd0\xd3\xc6") } },
	{ "a program", GOW_DEED_NO_DISK, ".exe .dll .msi .apk .bat .sys", NULL,
	  .signs = { AT(0, "\x7f" "ELF\x01"), AT(0, "\x7f" "ELF\x02"), AT(0, "\xcf\xfa\xed\xfe"),
	    AT(0, "\xca\xfe\xba\xbe\0"), AT(0, "dex\n03") } },
	{ "a Windows program", GOW_DEED_NO_DISK, "", NULL, .signs = { AT(0, "MZ") }, .agrees = gow_sign_pe },
	{ "a database", GOW_DEED_NO_DISK, ".db .sqlite .sqlite3", NULL,
	  .signs = { AT(0, "SQLite format 3\0"), AT(0, "\0\x01\0\0Standard Jet DB"),
	    AT(0, "\0\x01\0\0Standard ACE DB") } },
	/* Whose size is always a multiple of a sector. */
	{ "a database of another program", GOW_DEED_NO_DISK, ".edb .pst .ost", NULL,
	  .signs = { AT(4, "\xef\xcd\xab\x89"), AT(16, "\xde\xc0\xef\xbe"), AT(0, "!BDN"),
	    AT(12, "\x61\x15\x06\0"), AT(12, "\0\x06\x15\x61"), AT(12, "\x62\x31\x05\0"),
	    AT(12, "\0\x05\x31\x62") } },
	{ "a GDBM database", GOW_DEED_NO_DISK, "", NULL,
	  .signs = { AT(0, "\xcd\x9a\x57\x13"), AT(0, "\xce\x9a\x57\x13"), AT(0, "\xcf\x9a\x57\x13"),
	    AT(0, "\xd0\x9a\x57\x13"), AT(0, "\xd1\x9a\x57\x13") } },
	{ "a log or a registry of a system", GOW_DEED_NO_DISK, ".evtx .journal", NULL,
	  .signs = { AT(0, "LPKSHHRH"), AT(0, "ElfFile\0"), AT(0, "regf") } },
	{ "a kernel or what it is started with", GOW_DEED_NO_DISK, "", NULL,
	  .signs = { AT(0, "ANDROID!"), AT(0, "\x27\x05\x19\x56"), AT(0, "\xd0\x0d\xfe\xed") } },
	{ "a captured network dump or core file", GOW_DEED_NO_DISK, ".pcap .pcapng .dmp", NULL,
	  .signs = { AT(0, "\xd4\xc3\xb2\xa1\x02\0"), AT(0, "\x0a\x0d\x0d\x0a"), AT(0, "PAGEDUMP"),
	    AT(0, "PAGEDU64"), AT(0, "KDUMP   "), AT(0, "MDMP\x93\xa7") } },
	{ "the firmware of a guest", GOW_DEED_NO_DISK, ".rom", NULL, .signs = { AT(40, "_FVH") } },
	{ "what macOS keeps beside a file", GOW_DEED_NO_DISK, ".ds_store", NULL,
	  .signs = { AT(0, "\0\x05\x16\x07"), AT(0, "\0\x05\x16\0"), AT(0, "\0\0\0\1Bud1") } },
	{ "a saved guest's memory", GOW_DEED_NO_DISK, ".vmss .vmsn .vmrs .vsv .sav", NULL,
	  .signs = { AT(0, "LinuxGuestRecord"), AT(0, "XenSavedDomain"), AT(0, "\x7fVirtualBox SavedState"),
	    AT(0, "QEVM"), AT(0, "LibvirtQemudSave"), AT(0, "\xd2\xbe\xd2\xbe"),
	    AT(0, "\xd1\xbe\xd1\xbe") } },
	/* Whatever begins with lines and is nothing of the above. */
	{ "a plain text", GOW_DEED_NO_DISK, "", NULL, .signs = { { 0, 0, NULL } },
	  .agrees = gow_sign_text },
};

/* clang-format on */
const size_t gow_file_format_count = sizeof gow_file_formats / sizeof *gow_file_formats;

/* ---- by content -------------------------------------------------------------------------- */

static bool begins(const struct gow_file_format *format, const uint8_t *head, size_t size)
{
	bool asked = false;

	for (size_t i = 0; i < GOW_SIGNATURES_MAX && format->signs[i].bytes; i++) {
		const struct gow_signature *sign = &format->signs[i];

		asked = true;
		if (sign->offset + sign->length <= size &&
		    memcmp(head + sign->offset, sign->bytes, sign->length) == 0)
			return !format->agrees || format->agrees(head, size);
	}
	return !asked && format->agrees && format->agrees(head, size);
}

const struct gow_file_format *gow_format_of_head(const uint8_t *head, size_t size)
{
	for (size_t i = 0; i < gow_file_format_count; i++)
		if (begins(&gow_file_formats[i], head, size))
			return &gow_file_formats[i];
	return NULL;
}

const struct gow_file_format *gow_format_of_tail(const uint8_t *tail, uint64_t file_size)
{
	for (size_t i = 0; i < gow_file_format_count; i++)
		if (gow_file_formats[i].ends && gow_file_formats[i].ends(tail, file_size))
			return &gow_file_formats[i];
	return NULL;
}

/* ---- by name ----------------------------------------------------------------------------- */

/* Whether a name of that length ends in one of the suffixes; how long that is, or 0. */
static size_t suffix_length(const char *suffixes, const char *name, size_t length)
{
	while (*suffixes) {
		size_t size = strcspn(suffixes, " ");

		if (size && length > size && strncasecmp(name + length - size, suffixes, size) == 0)
			return size;
		suffixes += size + strspn(suffixes + size, " ");
	}
	return 0;
}

static const struct gow_file_format *of_name(const char *name, size_t length)
{
	for (size_t i = 0; i < gow_file_format_count; i++)
		if (suffix_length(gow_file_formats[i].suffixes, name, length))
			return &gow_file_formats[i];
	return NULL;
}

/* What the number of a part takes at the end of a name: .002, .z01, .r00, .part1; or 0. */
static size_t part_length(const char *name, size_t length)
{
	size_t digits = 0;

	while (digits < length && isdigit((unsigned char)name[length - digits - 1]))
		digits++;
	if (!digits || digits + 1 >= length)
		return 0;
	return name[length - digits - 1] == '.' ? digits + 1 : 0;
}

/* Pieces of split archives that do not say what of: x.z01, x.r00. */
static const struct gow_file_format *of_old_part(const char *name, size_t length)
{
	const char *tail = name + length - 4;

	if (length < 5 || tail[0] != '.' || !isdigit((unsigned char)tail[2]) ||
	    !isdigit((unsigned char)tail[3]))
		return NULL;
	switch (tolower((unsigned char)tail[1])) {
	case 'z':
		return of_name("x.zip", 5);
	case 'r':
		return of_name("x.rar", 5);
	default:
		return NULL;
	}
}

const struct gow_file_format *gow_format_of_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t length = strlen(name), part = part_length(name, length);
	const struct gow_file_format *format = of_name(name, length);

	if (!format && part)
		format = of_name(name, length - part);
	return format ? format : of_old_part(name, length);
}

size_t gow_name_without_compression(const char *path)
{
	size_t length = strlen(path);

	for (size_t i = 0; i < gow_file_format_count; i++) {
		const struct gow_file_format *format = &gow_file_formats[i];

		if (format->deed == GOW_DEED_DECOMPRESS)
			length -= suffix_length(format->suffixes, path, length);
	}
	return length;
}

/* ---- what to do -------------------------------------------------------------------------- */

static const char *thing_named(const struct gow_file_format *format)
{
	switch (format->deed) {
	case GOW_DEED_DECOMPRESS:
	case GOW_DEED_ARCHIVE:
		return "an archive";
	default:
		return format->name;
	}
}

int gow_format_refuse(const struct gow_file_format *format, bool by_name, gow_error *error)
{
	if (by_name)
		return gow_fail(error, GOW_ERR_DAMAGED,
		                "has the name of %s, but does not begin like one: it is damaged; "
		                "if it is a raw disk, say -f raw",
		                thing_named(format));
	switch (format->deed) {
	case GOW_DEED_CONVERT:
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is %s; convert it to raw first%s%s%s, or say -f raw", format->name,
		                format->advice ? " (" : "", format->advice ? format->advice : "",
		                format->advice ? ")" : "");
	case GOW_DEED_UNPACK:
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is %s, which is not read; unpack it first%s%s%s, or say -f raw",
		                format->name, format->advice ? " (" : "",
		                format->advice ? format->advice : "", format->advice ? ")" : "");
	case GOW_DEED_DECOMPRESS:
	case GOW_DEED_ARCHIVE:
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is %s: it is packed twice; unpack it once", format->name);
	case GOW_DEED_OURS:
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is %s, not a disk; name the image that it belongs to, or say -f "
		                "raw",
		                format->name);
	default:
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is %s, not a disk; if it is a raw disk, say -f raw", format->name);
	}
}

int gow_format_check_size(uint64_t size, gow_error *error)
{
	if (!size)
		return gow_fail(error, GOW_ERR_LIMIT,
		                "is empty; a guest's disk has at least 512 bytes");
	if (size % GOW_FORMAT_TAIL)
		return gow_fail(error, GOW_ERR_DAMAGED,
		                "has a size (%" PRIu64
		                " bytes) that is not a multiple of 512: cut short, "
		                "or not a disk; -f raw reads it anyway",
		                size);
	return GOW_OK;
}
