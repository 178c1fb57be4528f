/**
 * What people type who come from other programs, by the command that does it here. In lower case. The words are those
 * of qemu-img, VBoxManage, VMware, hdiutil, PowerShell for Hyper-V, diskpart, libguestfs, Clonezilla, Etcher, RPi
 * Imager, Macrium, the Sleuth Kit, libewf and coreutils.
 */
export const peerWords: Readonly<Record<string, string>> = {
  'chain commit': 'commit consolidate merge merge-vhd',
  'chain flatten': 'flatten',
  'chain rebase': 'rebase',
  'chain relink': 'set-vhd',
  'partition extract': 'extract',
  'partition fix': 'fixparts testdisk',
  'partition list':
    'cfdisk fdisk gdisk get-partition gpart list mmls parted partitions pmap sfdisk sgdisk virt-filesystems',
  'snapshot create': 'checkpoint checkpoint-vm',
  'snapshot list': 'get-vmsnapshot snapshots',
  autocomplete: 'completion completions',
  cat: 'icat tail type virt-cat virt-log virt-tail',
  check: 'chk-img-restorable chkimg fsck ocs-chkimg test-vhd verify',
  clone: 'clone-disk clonedrive ocs-onthefly onthefly',
  compact: 'fstrim trim optimize-vhd shrink sparsify virt-sparsify zerofree',
  compare: 'cmp diff virt-diff',
  convert:
    'clonehd clonemedium convert-vhd convertdd convertfromraw copy dd ewfexport export export-vm hdiutil import ' +
    'import-vm makehybrid nbdcopy ovftool prl_disk_tool qemu-img v2v vboxmanage virt-p2v virt-v2v virt-v2v-in-place ' +
    'vmkfstools vmware-vdiskmanager',
  cp: 'unpack copy-out get virt-copy-out virt-tar-out',
  create: 'createhd createmedium new new-vhd',
  disks: 'diskutil get-disk get-physicaldisk lsblk',
  doctor: 'bootrec fixboot new-vm redeploy virt-rescue',
  hash: 'b2sum md5 sha1 sha256 checksum get-filehash hashdeep md5sum sha1sum sha256sum',
  image:
    'partclone acquire backup capture dc3dd dcfldd ddrescue disk2vhd dump ewfacquire ocs-sr save savedisk saveparts',
  info: 'blkid file get-diskimage get-vhd imageinfo img_stat nbdinfo showhdinfo showmediuminfo stat',
  inspect:
    'browse df explore get-volume guestfish open show virt-alignment-scan virt-df virt-inspector ' +
    'virt-list-filesystems virt-list-partitions',
  ls: 'dir fls tree virt-ls',
  mount: 'affuse attach ewfmount guestmount imdisk kpartx losetup mount-diskimage mount-vhd viboot xmount',
  resize: 'expand extend grow growpart modifyhd modifymedium resize-partition resize-vhd resize2fs virt-resize',
  restore:
    'apply balena balena-etcher bmaptool burn etcher flash local ocs-restore-mbr restoredisk restoreparts ' +
    'rpi-imager rufus write',
  serve: 'nbd nbdkit qemu-nbd share',
  unmount: 'eject detach dismount dismount-diskimage dismount-vhd guestunmount umount',
  view: 'gui web',
}

const commandFor: ReadonlyMap<string, string> = new Map(
  Object.entries(peerWords).flatMap(([command, words]) => words.split(' ').map((word) => [word, command] as const)),
)

/** The command that does here what a word, in lower case, does elsewhere; undefined where it is not known. */
export function commandOf(word: string): string | undefined {
  return commandFor.get(word)
}

const guest =
  'vdisk convert leaves the guest as it is; "vdisk doctor IMAGE --for PLATFORM" says what keeps it from starting there.'
const noFiles =
  'vdisk puts no files into an image by itself: "vdisk mount IMAGE DIR --write" lets other programs change them.'
const updating = 'The package manager that installed vdisk updates it. "vdisk plugins update" updates plug-ins.'
const inPlace = 'vdisk changes no options of an image in place: "vdisk convert" makes one with others (-o).'
const noErasing = 'vdisk erases no disk and makes no filesystem. "vdisk restore" writes an image over a disk.'

/** What is to be known beside the command, or where there is none. */
export const wordNotes: Readonly<Record<string, string>> = {
  'virt-v2v': guest,
  'virt-v2v-in-place': guest,
  'virt-p2v': guest,
  v2v: guest,
  'copy-in': noFiles,
  edit: noFiles,
  put: noFiles,
  upload: noFiles,
  'copy-vmfile': noFiles,
  'virt-copy-in': noFiles,
  'virt-customize': noFiles,
  'virt-edit': noFiles,
  'virt-sysprep': noFiles,
  'virt-tar-in': noFiles,
  'clear-disk': noErasing,
  amend: inPlace,
  erase: noErasing,
  format: noErasing,
  'initialize-disk': noErasing,
  mkfs: noErasing,
  'virt-format': noErasing,
  wipe: noErasing,
  wipefs: noErasing,
  'self-update': updating,
  upgrade: updating,
  man: 'The manual is in the package: man vdisk. "vdisk commands" lists all commands, and each has --help.',
}

/** Programs whose first word is a command of theirs: `qemu-img info`, `VBoxManage clonemedium`. */
const programs: ReadonlySet<string> = new Set([
  ...['diskpart', 'diskutil', 'hdiutil', 'prl_disk_tool', 'qemu-img', 'vboxmanage', 'vdisk', 'virsh', 'wsl'],
])

/** The words behind the name of a program that was typed too; all of them where none was. */
export function withoutProgram(words: readonly string[]): readonly string[] {
  const [first = '', second] = words
  return second !== undefined && programs.has(first.toLowerCase()) ? words.slice(1) : words
}

/** What is to be known of a word of other programs; undefined where there is nothing. */
export function noteOn(word: string): string | undefined {
  const key = word.toLowerCase()
  return Object.hasOwn(wordNotes, key) ? wordNotes[key] : undefined
}

const device = /^(?:\/dev\/(?!null$|zero$|shm\/|std|fd\/)|\\\\\.\\|\/\/\.\/)/
const copiers: ReadonlySet<string> = new Set(['dd', 'dcfldd', 'dc3dd', 'ddrescue', 'copy', 'nbdcopy'])

/**
 * What a program that copies anything to anything is here: that depends on which of both is a device. Undefined for
 * other programs, and where neither is one.
 * @param words the program's name, and what was typed behind it; `if=` and `of=` or the first two names are the ends.
 */
export function copyingCommand([program = '', ...words]: readonly string[]): string | undefined {
  if (!copiers.has(program.toLowerCase())) return undefined
  const names = words.filter((word) => !word.startsWith('-') && !word.includes('='))
  const named = (key: string): string | undefined =>
    words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1)
  const [from, to] = [named('if') ?? names[0] ?? '', named('of') ?? names[1] ?? ''].map((name) => device.test(name))
  if (from && to) return 'clone'
  if (to) return 'restore'
  return from ? 'image' : undefined
}
