// Seeds of layers, a line for each entry: its type, a character for its attributes, its path and
// the target of a link. A line that begins with '-' is the next layer.
#include "seeds/corpus.h"
#include "support/artifacts.h"
#include "support/compress.h"
#include "support/tar_builder.h"

namespace pyro::testing {

void write_layers(const std::filesystem::path& root) {
  const Corpus corpus(root, "image_tree");
  corpus.add("replaced", "d0 a\nf1 a/b\nf2 c\n-\nf3 a/b\nd4 c\nf5 c/d\nd6 a\n-\nf7 a\n");
  corpus.add("whiteouts",
             "fa a\nfb b/c\nfc b/d/e\n-\nf0 .wh.a\nf1 a\nf2 b/d/f\nf0 b/.wh.d\nf0 .wh.x\n");
  corpus.add("opaque",
             "d0 a\nf1 a/b\nf2 a/c/d\nf3 e\n-\nf4 a/new\nf0 a/.wh..wh..opq\nd0 a\n-\n"
             "f0 .wh..wh..opq\nf9 z\n");
  corpus.add("bad-whiteouts", "f0 .wh.\n");
  corpus.add("whiteout-directory", "d0 .wh.a\n");
  corpus.add("aufs", "f0 .wh..wh.aufs\nd0 .wh..wh.plnk\nf0 .wh..wh.plnk/x\nf0 .wh.a/b\n");
  corpus.add("symlinks",
             "d0 usr/lib\nl0 lib usr/lib\nl0 s /lib\nl0 up ../../usr\n-\nf1 lib/a\n"
             "f2 s/b\nf3 up/lib/c\nf0 lib/.wh.a\nl0 gone x/y\nf4 gone/z\n");
  corpus.add("loop", "l0 a b\nl0 b a\nf0 a/x\n");
  corpus.add("hard-links",
             "f1 a\nh0 b a\nl2 l b\nh0 m l\n-\nh0 c b\nf0 .wh.a\nf3 b\nh0 c c\n"
             "d0 d\nf4 d/x\nh0 d d/x\n");
  corpus.add("hard-link-of-parent", "f1 a\n-\nh0 a/b a\n");
  corpus.add("hard-link-missing", "h0 a b\n");
  corpus.add("kinds", "c1 n\nb2 m\np3 p\nc0 z\nl4 l " + std::string(100, 't') + "\nf5 .\nd6 ./\n");
  corpus.add("left-out", "f0 stargz.index.json\nf1 a/stargz.index.json\nf2 n\n-\nc0 n\n");
  corpus.add("attributes", "f~ a\nd} b\nl| c d\nf{ e\nfz f\nfy g\nfx h\nfw i\nfv j\nfu k\n");
  corpus.add("implied", "f1 a/b/c\n-\nf2 a/b/c/d\nf3 a\n-\nf4 a/x\nf5 a/x/y\n");
  corpus.add("lost-and-found", "d1 lost+found\nf2 lost+found/a\n-\nf0 .wh.lost+found\n");
  corpus.add("dots", "f1 ../a\n");
  corpus.add("slashes", "f1 //a/./b//\nd2 /\nf3 a/../b\n");
  corpus.add("long", "f1 " + std::string(255, 'n') + "\nf2 " + std::string(256, 'n') + "\n");

  const Corpus tars(root, "image_flatten");
  const std::string tree = TarBuilder()
                               .directory("usr/bin")
                               .symlink("bin", "usr/bin")
                               .tweak({.mode = 04755})
                               .file("bin/su", std::string(5000, 'x'))
                               .hardlink("bin/sudo", "bin/su")
                               .char_device("dev/null")
                               .fifo("run/pipe")
                               .whiteout("usr/bin/su")
                               .finish();
  tars.add_stream("tree", tree);
  tars.add_stream("gzip", compress(tree, Compression::gzip));
  tars.add_stream(
      "attributes",
      TarBuilder()
          .pax({{"SCHILY.xattr.security.capability", std::string(20, '\1')},
                {"SCHILY.acl.access", "user::rwx,user:a:r-x:7,group::r-x,mask::r-x,other::---"},
                {"mtime", "1700000000.5"},
                {"uid", "4000000000"}})
          .file("a", "1")
          .finish());
  tars.add_stream("sparse", TarBuilder()
                                .sparse(SparseFormat::pax_1_0, "s",
                                        sparse_file("a" + std::string(300'000, '\0') + "b"))
                                .finish());
  tars.add_stream("opaque",
                  TarBuilder().file("d/a", "1").opaque_whiteout("d").file("d/b", "2").finish());

  const Corpus kernels(root, "kernel_image");
  const std::string kernel = kernel_with(std::string(5000, 'k'));
  const std::string size("\x8c\x13\0\0", 4);
  kernels.add("gzip", bz_image(compress(kernel, Compression::gzip)));
  kernels.add("zstd", bz_image(compress(kernel, Compression::zstd) + size));
  kernels.add("xz", bz_image(compress(kernel, Compression::xz) + size));
  const std::string sequences(
      "\x4f"
      "abcd\2\0\1\x20xy",
      11);
  kernels.add("lz4", bz_image(std::string("\x02\x21\x4c\x18\x0b\0\0\0", 8) + sequences +
                              std::string("\x1a\0\0\0", 4)));
  kernels.add("unknown", bz_image("\x5d\x01 lzma 1234"));
}

}  // namespace pyro::testing
