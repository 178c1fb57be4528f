/**
 * Where the right answer to a file of the corpus is not the recorded one, or where "reject" needs to be made exact:
 * what
 * the answer is, and why. Each was looked into; what qemu-img says is what version 7.2.22 says of the file as it lies
 * there.
 */
import type { ErrorKind } from '../../src/index.js'

export interface CorpusContent {
  readonly capacity: number
  /** Hash of the blocks that are not all zero; undefined where the whole hash decides alone. */
  readonly nz64k?: string
  readonly sha256?: string | null
}

export interface CorpusError {
  readonly error: ErrorKind
  readonly says: RegExp
  /** A file that must indeed not be there, relative to the corpus. */
  readonly missing?: string
}

export interface CorpusAnswer {
  readonly why: string
  readonly expected: CorpusContent | CorpusError
  /** Then, with the parents' format given, the recorded content must come. */
  readonly parentFormat?: string
}

const derived = 'qemu-iotests-derived/'

/**
 * Files that images name and that are not in the archive (it keeps one of files that are the same), with the images
 * that
 * need them. The content was recorded when they were there. qemu-img refuses every one of these images too.
 */
const missingFiles: Readonly<Record<string, readonly string[]>> = {
  'qcow1/097-x01/t.qcow.itmd': ['t.qcow'],
  'qcow1/301-x01/t.qcow.base': ['t.qcow'],
  'qcow2-010/043-00/t.qcow2.1.base': ['t.qcow2', 't.qcow2.2.base', 't.qcow2.base'],
  'qcow2-010/195-00/t.qcow2.mid': ['t.qcow2'],
  'qcow2-010/267-00/t.qcow2.base': ['t.qcow2'],
  'qcow2-c512/020-00/t.qcow2.base': ['t.qcow2'],
  'qcow2-c512/043-00/t.qcow2.1.base': ['t.qcow2', 't.qcow2.2.base', 't.qcow2.base'],
  'qcow2-c512/154-00/t.qcow2.base': ['t.qcow2'],
  'qcow2-df/043-00/t.qcow2.ext': ['t.qcow2', 't.qcow2.1.base', 't.qcow2.2.base', 't.qcow2.base'],
  'qcow2-df/053-00/t.qcow2.ext': ['t.qcow2.orig'],
  'qcow2-df/097-00/t.qcow2.ext': ['t.qcow2'],
  'qcow2-df/097-00/t.qcow2.base.ext': ['t.qcow2.base'],
  'qcow2-df/097-00/t.qcow2.itmd.ext': ['t.qcow2.itmd'],
  'qcow2-df/154-00/t.qcow2.ext': ['t.qcow2'],
  'qcow2-df/154-00/t.qcow2.base.ext': ['t.qcow2.base'],
  'qcow2-df/195-00/t.qcow2.ext': ['t.qcow2'],
  'qcow2-df/195-00/t.qcow2.base.ext': ['t.qcow2.base'],
  'qcow2-df/195-00/t.qcow2.mid.ext': ['t.qcow2.mid'],
  'qcow2-dfraw/097-00/t.qcow2.base.ext': ['t.qcow2.base'],
  'qcow2-el2/043-00/t.qcow2.1.base': ['t.qcow2', 't.qcow2.2.base', 't.qcow2.base'],
  'qcow2-el2/267-00/t.qcow2.base': ['t.qcow2'],
  'qcow2-zstd/043-00/t.qcow2.1.base': ['t.qcow2', 't.qcow2.2.base', 't.qcow2.base'],
  'qcow2-zstd/195-00/t.qcow2.mid': ['t.qcow2'],
  'qcow2-zstd/267-00/t.qcow2.base': ['t.qcow2'],
  'qcow2/019-00/t.qcow2.base': ['t.qcow2'],
  'qcow2/043-01/t.qcow2.1.base': ['t.qcow2', 't.qcow2.2.base'],
  'qcow2/098-00/t.qcow2.base': ['t.qcow2'],
  'qcow2/114-00/t.qcow2.orig': ['t.qcow2'],
  'qcow2/114-01/t.qcow2.base': ['t.qcow2'],
  'qcow2/154-00/t.qcow2.base': ['t.qcow2'],
  'qcow2/154-01/t.qcow2.base': ['t.qcow2'],
  'qcow2/161-00/t.qcow2.base': ['t.qcow2.int'],
  'qcow2/176-00/t.qcow2.base': ['t.qcow2', 't.qcow2.itmd'],
  'qcow2/191-00/t.qcow2.mid': ['t.qcow2'],
  'qcow2/289-00/t.qcow2.data_file': ['t.qcow2'],
}

const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

function add(answers: Map<string, CorpusAnswer>, paths: readonly string[], answer: CorpusAnswer): void {
  for (const path of paths) answers.set(path, answer)
}

// eslint-disable-next-line max-lines-per-function -- a table: one answer after another, each with its reason
function allAnswers(): Map<string, CorpusAnswer> {
  const answers = new Map<string, CorpusAnswer>()
  answers.set('etcher-sdk/images/raw-image-not-a-dmg.dmg', {
    why: 'ten bytes of text are no disk, unless somebody says so',
    expected: { error: 'unsupported', says: /is text, not a disk image/ },
  })
  answers.set('vmdk-forensic/flat.vmdk', {
    why: 'its extent is not in the archive',
    expected: { error: 'reference', says: /flat-f001\.vmdk/, missing: 'vmdk-forensic/flat-f001.vmdk' },
  })
  answers.set(`${derived}vmdk/020-01/t.vmdk`, {
    why: 'the parent was committed into, and has another content id: qemu-img fails only where it reads the parent',
    expected: { error: 'reference', says: /content id 20f4061e.*2178084f/ },
  })
  for (const [missing, images] of Object.entries(missingFiles)) {
    const folder = missing.slice(0, missing.lastIndexOf('/') + 1)
    add(
      answers,
      images.map((name) => `${derived}${folder}${name}`),
      {
        why: 'a file that it needs is not in the archive',
        expected: {
          error: 'reference',
          says: new RegExp(missing.slice(folder.length).replaceAll('.', '\\.')),
          missing: `${derived}${missing}`,
        },
      },
    )
  }

  add(
    answers,
    [
      'qcow1/053-00/t.qcow',
      'qcow1/053-00/t.qcow.orig',
      'qcow2-010/053-00/t.qcow2',
      'qcow2-010/053-00/t.qcow2.orig',
      'qcow2-rc1/053-00/t.qcow2.orig',
      'qcow2-zstd/053-00/t.qcow2.orig',
      'qcow2/053-00/t.qcow2.orig',
    ].map((path) => derived + path),
    {
      why:
        'the recorded raw_nz64k was taken over a last block filled up to 64 KiB, against the README; ' +
        'raw_sha256 decides',
      expected: { capacity: 512, sha256: 'f33ab12d20ffae0e2aa71cc286f76c44f3eb0a277a1751746dbf3686d72e6e60' },
    },
  )
  add(
    answers,
    ['146-00/virtualpc-dynamic.vhd']
      .map((path) => `${derived}vpc/${path}`)
      .concat('qemu-sample_images/virtualpc-dynamic.vhd'),
    {
      why:
        'qemu-img takes cylinders x heads x sectors because the creator is "vpc "; Microsoft, libvhdi and we ' +
        'take currentSize of the footer',
      expected: { capacity: 136_365_211_648, nz64k: empty },
    },
  )
  add(answers, ['dfvfs-20240505/fat-differential.vhd'], {
    why:
      'libvhdi alone gave the recorded content, and it takes bitmap byte 0xCB at byte 23 for 0xFF: sector ' +
      ('186 is not in the child (its bit is clear), the parent has it. With that fault put into a reader of ' +
        'the specification the recorded hash comes out, without it this one'),
    expected: {
      capacity: 4_194_304,
      nz64k: 'a94abde50cf325e022ea277e66732d9a11faea1be0c328ec1ad51ded7c1ec448',
      sha256: 'f4b61a33ee2f7e8c19f737792a4107e46340026a9a829e4169b751901cc3ef02',
    },
  })
  add(
    answers,
    [
      'qcow1/020-00/subdir/t.qcow',
      'qcow1/020-00/subdir/t.qcow.mid',
      'qcow1/097-00/t.qcow',
      'qcow1/097-00/t.qcow.itmd',
    ].map((path) => derived + path),
    {
      why:
        'QCOW version 1 does not record the format of the parent, and a parent that is raw must not be ' +
        'probed into another format: the user says it',
      expected: { error: 'reference', says: /does not record the format/ },
      parentFormat: 'auto',
    },
  )
  for (const [path, capacity, sha256] of [
    ['dfvfs-20240505/hfsplus_zlib', 1_954_304, 'c86d3616818e175caca2f6022f49e190e5b1cfe39b2e8f9373119e22aa7eaf58'],
    ['dmgwiz/input_ro', 10_510_336, '1407509ff44696aab011815d84951ad2c53cb7345a71d9803b73817c2d2d83cf'],
    ['dmgwiz/input_zlib', 10_510_336, '1407509ff44696aab011815d84951ad2c53cb7345a71d9803b73817c2d2d83cf'],
    ['keramics/udif/hfsplus_bzip2', 1_964_032, 'b918c2606696b5067dcc4297ba5b08b2573dfeaf737a44f1110f27a10a3d4a0c'],
    ['keramics/udif/hfsplus_zlib', 1_964_032, 'd3fc84894c6a387275cd71087096268873031221db7fd29647de4ddad88316ad'],
    ['qemu-sample_images/simple-dmg', 1_799_168, '20647e0a98a830a6a250b91e0e6d7200a872caea07b87a3c19611f3dd031c9df'],
  ] as const)
    answers.set(`${path}.dmg`, {
      why: 'the recorded raw_nz64k was taken over a last block filled up to 64 KiB; the recorded raw_sha256 decides',
      expected: { capacity, sha256 },
    })
  add(answers, [`${derived}parallels/076-x02/parallels-v1`], {
    why: 'a table of 2^32-1 entries in a small file; "Catalog too large" says qemu-img',
    expected: { error: 'corrupt', says: /table of \d+ entries takes bytes/ },
  })
  add(answers, [`${derived}qcow2/005-00/t.qcow2`], {
    why: 'recorded as rejected without a message; qemu-img converts it: an empty disk of 5 TB',
    expected: { capacity: 5_368_709_120_000, nz64k: empty },
  })
  add(answers, [`${derived}qcow2/043-00/t.qcow2`], {
    why: 'it is its own parent',
    expected: { error: 'reference', says: /circle/ },
  })
  add(answers, [`${derived}qcow2/054-00/t.qcow2`], {
    why: 'an exabyte: "Image is too big" says qemu-img',
    expected: { error: 'corrupt', says: /size.*1152921504606846976/ },
  })
  add(answers, [`${derived}qcow2/102-00/t.qcow2`], {
    why: 'the test cut the file off before its data cluster; qemu-img reads zeros for it, and we do not make up data',
    expected: { error: 'corrupt', says: /the file ends at byte 327680/ },
  })
  add(
    answers,
    ['087-00', '134-00'].map((folder) => `${derived}qcow2/${folder}/t.qcow2`),
    {
      why:
        'encrypted (AES); qemu-img refuses without the key, libqcow gave the recorded content without ' +
        'decrypting anything',
      expected: { error: 'unsupported', says: /encrypted/ },
    },
  )
  add(answers, [`${derived}qcow2-df/158-00/t.qcow2.base`], {
    why: 'its data file is missing and it is encrypted; the second is said',
    expected: { error: 'unsupported', says: /encrypted/ },
  })
  add(
    answers,
    ['qcow2', 'qcow2-rc1'].map((folder) => `${derived}${folder}/158-00/t.qcow2`),
    {
      why: 'it is encrypted and its parent is missing; the second is said',
      expected: { error: 'reference', says: /t\.qcow2\.base/ },
    },
  )
  add(answers, [`${derived}qcow2/287-00/t.qcow2`], {
    why: 'feature bit 3 without a compression type; qemu-img refuses it, dissect does not look',
    expected: { error: 'corrupt', says: /compression type is 0/ },
  })
  add(answers, [`${derived}vpc/088-x02/t.vpc`], {
    why: 'a block size of 0x12345678 bytes; qemu-img refuses it, dissect does not look',
    expected: { error: 'corrupt', says: /block size.*305419896/ },
  })
  add(answers, [`${derived}vhdx-fixed/105-x00/t.vhdx`], {
    why: 'cut off within the headers',
    expected: { error: 'corrupt', says: /131152 bytes/ },
  })
  add(answers, ['node-vhd/footer.bin'], {
    why: 'a footer without a disk',
    expected: { error: 'corrupt', says: /10485760 are missing/ },
  })
  return answers
}

export const corpusAnswers: ReadonlyMap<string, CorpusAnswer> = allAnswers()

/**
 * Internal snapshots of another size than the disk has now; qemu-img reads a snapshot at the size of the active disk.
 */
export const snapshotSizes: ReadonlyMap<string, number> = new Map(
  ['qcow2-010', 'qcow2-c2m', 'qcow2-zstd'].map((variant) => [`${derived}${variant}/029-00/t.qcow2`, 64 * 1024 * 1024]),
)
